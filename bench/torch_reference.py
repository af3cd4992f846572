"""PyTorch beside ortune: one Qwen3-0.6B block at T = 512, in float32 and bfloat16, eager.

Prints JSON. Needs torch and transformers:  python bench/torch_reference.py [threads]
"""

import json
import statistics
import sys
import time

import torch
from torch.utils.checkpoint import checkpoint
from transformers import Qwen3Config
from transformers.models.qwen3.modeling_qwen3 import Qwen3DecoderLayer, Qwen3RotaryEmbedding

LENGTH, ROUNDS = 512, 7
torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
torch.manual_seed(0)

config = Qwen3Config(
    hidden_size=1024, intermediate_size=3072, num_hidden_layers=28, num_attention_heads=16,
    num_key_value_heads=8, head_dim=128, vocab_size=151936, rms_norm_eps=1e-6, rope_theta=1e6,
    tie_word_embeddings=True, max_position_embeddings=40960, attn_implementation="sdpa",
)


def median_ms(call):
    call()
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        call()
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


result = {"torch": torch.__version__}
for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
    layer = Qwen3DecoderLayer(config, 0).to(dtype)
    x = torch.randn(1, LENGTH, config.hidden_size, dtype=dtype, requires_grad=True)
    positions = torch.arange(LENGTH)[None]
    rotary = Qwen3RotaryEmbedding(config)(x, positions)

    def run(x):
        y = layer(x, position_embeddings=rotary, attention_mask=None)
        return y[0] if isinstance(y, tuple) else y

    def forward():
        with torch.no_grad():
            run(x)

    def backward():
        layer.zero_grad(set_to_none=True)
        x.grad = None
        y = checkpoint(run, x, use_reentrant=False)
        y.backward(dy)

    dy = torch.randn(1, LENGTH, config.hidden_size, dtype=dtype)
    a = torch.randn(LENGTH, 1024, dtype=dtype)
    b = torch.randn(3072, 1024, dtype=dtype)
    gemm = median_ms(lambda: a @ b.T)
    forward_ms = median_ms(forward)
    result[name] = {
        "gemm_gflops": 2 * LENGTH * 1024 * 3072 / gemm / 1e6,
        "forward_ms": forward_ms,
        # checkpoint() runs the forward twice: once to answer, once to recompute.
        "backward_with_recompute_ms": median_ms(backward) - forward_ms,
    }
print(json.dumps(result))
