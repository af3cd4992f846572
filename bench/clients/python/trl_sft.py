"""TRL: SFTTrainer goes on from the checkpoint; its loss beside that of transformers on the same rows."""

import json
import tempfile

import torch
from client import artefacts, check, done, version
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import SFTConfig, SFTTrainer

with open(artefacts["trainFile"], encoding="utf-8") as file:
    rows = [json.loads(line) for line in file][:4]
messages = [
    {
        "prompt": [{"role": "user", "content": row["question"]}],
        "completion": [{"role": "assistant", "content": f"<think>\n{row['think']}\n</think>\n\n{row['answer']}"}],
    }
    for row in rows
]
folder = artefacts["checkpoint"]
tokenizer = AutoTokenizer.from_pretrained(folder)
settings = SFTConfig(
    output_dir=tempfile.mkdtemp(),
    max_steps=1,
    per_device_train_batch_size=4,
    learning_rate=1e-3,
    lr_scheduler_type="constant",
    logging_steps=1,
    report_to="none",
    use_cpu=True,
    save_strategy="no",
    bf16=False,
    gradient_checkpointing=False,
)
model = AutoModelForCausalLM.from_pretrained(folder)
before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
trainer = SFTTrainer(model=model, args=settings, train_dataset=Dataset.from_list(messages), processing_class=tokenizer)
batch = next(iter(trainer.get_train_dataloader()))
with torch.no_grad():
    wanted = model.eval()(**{k: v for k, v in batch.items() if k in ("input_ids", "attention_mask", "labels")}).loss
model.train()
trainer.train()
loss = trainer.state.log_history[0]["loss"]
changed = sum(not torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
check("loss of a step", abs(loss - wanted.item()) < 1e-3, f"{loss:.4f}, forward alone {wanted.item():.4f}")
check("a learned loss", loss < 4, f"{loss:.2f} nats; a random model has 6.9")
check("weights that the step changed", changed == len(before), f"{changed} of {len(before)}")
done(version("trl"))
