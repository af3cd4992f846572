"""Compares ortune with transformers on a model that `deno task import` made: token ids, logits and greedy replies.

    python bench/published/parity.py DIR --gguf FILE [--deno deno]

In:  DIR of `deno task import` and the file that it read; needs torch, transformers and gguf.
Out: a line a comparison; exit status 1 where one fails.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error", CUDA_VISIBLE_DEVICES="", TQDM_DISABLE="1")

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

ROOT = Path(__file__).parents[2]
QUESTIONS = ["What is the capital of France?", "How can I tell if I am dehydrated?", "Write a haiku about the sea.",
             "Why is the sky blue?", "我发烧了怎么办？"]
TEXTS = [
    "Hello world", "  two  blanks ", "\ttab\n\nlines\r\n", "I'll say it's what they've done; he'd go, we're IN, I'M.",
    "In 2026, 1,234.5 mg × 10^-3 = 0.0012345 g", "BP 120/80, 37.5°C, 5mg/kg, pH7.35–7.45", "v1.2.3-rc4 0x7fff",
    "医生，我最近被诊断为糖尿病，应该选择什么样的碳水化合物呢？", "体温38.5度，血压120/80", "全角：１２３ａｂｃ，。！　开头",
    "😀👍🏽👨‍👩‍👧‍👦🇨🇳", "naïve café — “quoted” … résumé", "e\u0301 decomposed", "αβγ Привет мир שלום مرحبا हिन्दी ไทย 한국어 日本語",
    "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", "<bos><start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\n", "<think>\nThinking.\n</think>\n\nAnswer.<|im_end|>",
    "a<|endoftext|>b <|im_end|> c<repo_name>d", "def f(x):\n    return x ** 2  # square\n\n\n\tif x:\n", "\u00a0no-break\u00a0\u00a0space",
    "\u3000\u3000two ideographic blanks", "\u2028line\u2029para\u200bzero\u200dwidth", "x   \n  \n   y", " ", "\n", "   ", "",
    "½ ² ① Ⅳ ٣٤ ४५ 12½3", "under_score CamelCase ALLCAPS", "https://example.org/a?b=1&c=%20d#e", "don’t can’t I’m",
]
# What JavaScript calls blank and Rust does not, and the other way; numbers that are no ASCII digits.
TEXTS += ["\ufeffbyte order mark", "a  \ufeff b", "next\u0085line", "a  \u0085 b", "\u180e vowel", "take ½ of 25 kg/m² ① ②"]
# Bytes that a vocabulary may lack, as SmolLM2's does: ortune and transformers leave them out.
LOSSY = ["bell \u0006 group \u001d end"]
TEXTS += LOSSY


def corpus() -> list[str]:
    """The data and documents of the repository, a line a text."""
    paths = [ROOT / "README.md", ROOT / "README.zh.md", ROOT / "examples/quickstart/records.ts", *sorted(Path(__file__).parent.glob("*.jsonl"))]
    return [line for path in paths for line in path.read_text(encoding="utf-8").split("\n")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dir", type=Path)
    parser.add_argument("--gguf", type=Path, required=True)
    parser.add_argument("--deno", default="deno")
    options = parser.parse_args()
    torch.set_num_threads(os.cpu_count() or 1)
    # Goes by tokenizer.json alone: GPT2Tokenizer of transformers 5 has steps of its own in place of the file's.
    tokenizer = PreTrainedTokenizerFast.from_pretrained(options.dir)
    texts = TEXTS + corpus()
    failed = []

    def report(name: str, fine: bool, state: str) -> None:
        print(f"{'ok' if fine else 'FAILED'}: {name}: {state}")
        if not fine:
            failed.append(name)

    with tempfile.TemporaryDirectory() as scratch:
        given, made, logits_path = (Path(scratch) / name for name in ("given.json", "made.json", "logits.safetensors"))
        given.write_text(json.dumps({"texts": texts, "questions": QUESTIONS}))
        deno = [options.deno, "run", "-A"]
        subprocess.run([*deno, str(ROOT / "bench/published/parity.ts"), str(options.dir), str(given), str(made)], check=True)
        subprocess.run([*deno, str(ROOT / "tests/support/write_logits.ts"), str(options.dir), str(logits_path)], check=True)
        ortune, stored = json.loads(made.read_text()), load_file(logits_path)

    parted = []
    for text, theirs in zip(texts, ortune["encoded"]):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        if theirs.get("ids") != ids:
            parted.append(text)
            print(f"  {text!r}\n    transformers {ids}\n    ortune       {theirs.get('ids') or theirs['error']}")
        elif theirs["decoded"] != tokenizer.decode(ids, clean_up_tokenization_spaces=False):
            parted.append(text)
            print(f"  {text!r} decodes to {theirs['decoded']!r}")
    tokens = sum(len(each.get("ids", [])) for each in ortune["encoded"])
    report("token ids", not parted, f"{len(texts) - len(parted)} of {len(texts)} texts ({tokens:,} tokens) equal, and back")
    lossy = [text for text in texts if tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) != text]
    report("round trip", set(lossy) <= set(LOSSY), f"{len(texts) - len(lossy)} texts come back; not {lossy}")

    model = AutoModelForCausalLM.from_pretrained(options.dir, dtype=torch.float32, attn_implementation="eager")
    with torch.no_grad():
        expected = model(input_ids=stored["input_ids"].long()).logits
    difference, scale = (expected - stored["logits"]).abs().max().item(), expected.abs().max().item()
    report("logits", difference <= 1e-4 * scale, f"largest difference {difference:.2e} at logits up to {scale:.1f}: {difference / scale:.1e} of it")
    ends = torch.tensor(model.generation_config.eos_token_id).flatten().tolist()
    for question, reply in zip(QUESTIONS, ortune["replies"]):
        messages = [{"role": "user", "content": question}]
        prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=False)
        with torch.no_grad():
            made = model.generate(prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=50)
        ids = [id for id in made[0, prompt.shape[1]:].tolist() if id not in ends]
        same = reply["prompt"] == prompt[0].tolist() and reply["ids"] == ids
        report(f"greedy reply to {question!r}", same, f"{len(ids)} tokens, {tokenizer.decode(ids)!r}")

    reference = AutoModelForCausalLM.from_pretrained(options.gguf.parent, gguf_file=options.gguf.name, dtype=torch.float32)
    state = reference.state_dict()
    unequal = [name for name, value in model.state_dict().items() if not torch.equal(value, state[name])]
    report("weights", not unequal, f"{len(state) - len(unequal)} of {len(state)} tensors are bit for bit those of transformers' own GGUF reader")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
