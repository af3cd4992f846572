"""PyTorch with PEFT beside bench/quantized_base.ts: LoRA steps of a Qwen3 of random weights, a step a line.

Started by that script:  python bench/torch_lora.py float32|bfloat16 0.6B|1.7B THREADS LAYERS VOCABULARY
"""

import json
import resource
import sys
import time

import torch
from peft import LoraConfig, get_peft_model
from transformers import Qwen3Config, Qwen3ForCausalLM

DTYPE, MODEL = sys.argv[1:3]
THREADS, LAYERS, VOCABULARY = map(int, sys.argv[3:6])
LENGTH = 512
WIDTHS = {"0.6B": (1024, 3072), "1.7B": (2048, 6144)}
torch.set_num_threads(THREADS)
torch.manual_seed(0)
began = time.perf_counter()
hidden, intermediate = WIDTHS[MODEL]
torch.set_default_dtype(getattr(torch, DTYPE))
model = Qwen3ForCausalLM(Qwen3Config(
    hidden_size=hidden, intermediate_size=intermediate, num_hidden_layers=LAYERS,
    num_attention_heads=16, num_key_value_heads=8, head_dim=128, vocab_size=VOCABULARY,
    rms_norm_eps=1e-6, rope_theta=1e6, tie_word_embeddings=True, attn_implementation="sdpa",
))
torch.set_default_dtype(torch.float32)
model = get_peft_model(model, LoraConfig(
    r=8, lora_alpha=32, lora_dropout=0.1, target_modules="all-linear", task_type="CAUSAL_LM",
))
model.enable_input_require_grads()
model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
model.train()
trained = [each for each in model.parameters() if each.requires_grad]
optimizer = torch.optim.AdamW(trained, lr=1e-6)
ids = (torch.arange(LENGTH) * 293 % VOCABULARY)[None]
loaded = {"base": f"torch-{DTYPE}", "load_s": time.perf_counter() - began}


def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


for line in sys.stdin:
    if line == "load\n":
        answer = loaded
    elif line == "end\n":
        answer = {"peak_rss_mib": peak_mib()}
    else:
        began = time.perf_counter()
        loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        answer = {"ms": (time.perf_counter() - began) * 1000, "loss": loss.item()}
    print(json.dumps(answer), flush=True)
    if line == "end\n":
        break
