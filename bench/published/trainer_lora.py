"""Hugging Face's Trainer with PEFT beside bench/published/quantized.ts, which starts it: the same rows, tokens/s.

    python bench/published/trainer_lora.py SETTING.json

In:  {model, dtype, threads, steps, rows, learningRate, examples: [{inputIds, labels}]}; needs torch, transformers, peft.
Out: a line of JSON: tokens/s of all updates but the first, MiB at the peak, the last training loss.
"""

import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error", CUDA_VISIBLE_DEVICES="", TQDM_DISABLE="1")

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, Trainer, TrainerCallback, TrainingArguments

setting = json.loads(Path(sys.argv[1]).read_text())
torch.set_num_threads(setting["threads"])
dtype = getattr(torch, setting["dtype"])
model = AutoModelForCausalLM.from_pretrained(setting["model"], dtype=dtype, attn_implementation="sdpa")
model.config.use_cache = False
model = get_peft_model(model, LoraConfig(r=8, lora_alpha=32, lora_dropout=0.1, target_modules="all-linear", task_type="CAUSAL_LM"))
counted = 0


def collate(rows):
    global counted
    (row,) = rows
    counted += len(row["inputIds"])
    ids, labels = torch.tensor([row["inputIds"]]), torch.tensor([row["labels"]])
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}


class Clock(TrainerCallback):
    """When each update ended, and how many tokens had been taken by then."""

    ends = []

    def on_step_end(self, args, state, control, **_):
        self.ends.append((time.perf_counter(), counted))


clock = Clock()
with tempfile.TemporaryDirectory() as folder:
    trainer = Trainer(
        model=model, train_dataset=setting["examples"], data_collator=collate, callbacks=[clock],
        args=TrainingArguments(
            output_dir=folder, max_steps=setting["steps"], per_device_train_batch_size=1,
            gradient_accumulation_steps=setting["rows"], learning_rate=setting["learningRate"], bf16=setting["dtype"] == "bfloat16",
            logging_steps=setting["steps"], save_strategy="no", report_to="none", remove_unused_columns=False, use_cpu=True,
        ),
    )
    trainer.train()
(began, before), (ended, after) = clock.ends[0], clock.ends[-1]
losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
print(json.dumps({
    "tokensPerSecond": (after - before) / (ended - began),
    "peakMiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    "loss": losses[-1],
}))
