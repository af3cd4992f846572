"""Hugging Face generate() beside ortune: Qwen3-0.6B's shapes with random weights, greedy.

Prints JSON: milliseconds of the prompt and of each token after it.
Needs torch and transformers:  python bench/torch_generate.py DTYPE LAYERS CONTEXT TOKENS THREADS
"""

import json
import sys
import time

import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

dtype, layers, context, tokens, threads = sys.argv[1], *map(int, sys.argv[2:6])
torch.set_num_threads(threads)
torch.manual_seed(0)
config = Qwen3Config(
    hidden_size=1024, intermediate_size=3072, num_hidden_layers=layers, num_attention_heads=16,
    num_key_value_heads=8, head_dim=128, vocab_size=151936, rms_norm_eps=1e-6, rope_theta=1e6,
    tie_word_embeddings=True, max_position_embeddings=40960, attn_implementation="sdpa",
    eos_token_id=None, pad_token_id=0,
)
torch.set_default_dtype(getattr(torch, dtype))
model = Qwen3ForCausalLM(config).eval()


class Watch:
    """Notes when each token arrives; the first call hands over the prompt."""

    def __init__(self):
        self.times = []
        self.last = time.perf_counter()

    def put(self, _):
        now = time.perf_counter()
        self.times.append((now - self.last) * 1000)
        self.last = now

    def end(self):
        pass


ids = (torch.arange(context) * 7919 % config.vocab_size)[None]
for count in (2, tokens):
    watch = Watch()
    model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=count,
                   do_sample=False, streamer=watch)
_, prefill, *decode = watch.times
print(json.dumps({"prefill": prefill, "decode": decode}))
