"""PyTorch's side of the comparison: initial weights, and two contenders.

    python torch_side.py weights JSON     writes a model folder and a PEFT folder with random weights
    python torch_side.py seed JSON        Qwen3-Medical-SFT's train.py or train_lora.py: HF Trainer,
                                          batch 1 x accumulation 4, gradient checkpointing
    python torch_side.py packed JSON      the strong peer: rows packed, SDPA or flash attention, fused
                                          AdamW, nothing recomputed, logits of supervised tokens only

JSON is one argument, with the fields of TorchSide in compare.ts. Contenders read commands from stdin
and answer on stdout, as contender.ts says. Needs torch, transformers, peft; no network.
"""

import json
import os
import sys
import time

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch
import torch.nn.functional as F
from transformers import Qwen3Config, Qwen3ForCausalLM

ROLE, SIDE = sys.argv[1], json.loads(sys.argv[2])
CUDA = SIDE["device"].startswith("cuda")
DTYPE = torch.bfloat16 if CUDA else torch.float32
if not CUDA:
    torch.set_num_threads(SIDE.get("threads") or 2)


def tell(**reply):
    print("@@" + json.dumps(reply), flush=True)


def command():
    line = sys.stdin.readline()
    if not line:
        sys.stdout.flush()
        os._exit(0)
    return json.loads(line)


def wait():
    if CUDA:
        torch.cuda.synchronize()


class Turn:
    """From a command to its reply."""

    def __init__(self, model):
        self.command = command()
        if CUDA:
            torch.cuda.reset_peak_memory_stats()
        # With dropout, loss curves of two programs cannot agree.
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0 if self.command.get("agree") else SIDE["dropout"]
        wait()
        self.began = time.perf_counter()
        self.losses = []

    def done(self):
        return len(self.losses) >= self.command["count"]

    def reply(self):
        losses = [float(sum(float(part) for part in parts)) for parts in self.losses]
        wait()
        seconds = time.perf_counter() - self.began
        peak = torch.cuda.max_memory_allocated() if CUDA else None
        if CUDA:
            # Others take turns on the same device.
            torch.cuda.empty_cache()
        tell(seconds=seconds, losses=losses, peakBytes=peak)


def weights():
    torch.manual_seed(SIDE["seed"])
    config = Qwen3Config(
        **SIDE["shape"], rms_norm_eps=1e-6, rope_theta=1e6, tie_word_embeddings=True,
        max_position_embeddings=40960, bos_token_id=0, eos_token_id=1, dtype=DTYPE,
    )
    with torch.device(SIDE["device"]):
        model = Qwen3ForCausalLM(config).to(DTYPE)
    model.save_pretrained(SIDE["model"], max_shard_size="40GB")

    from peft import LoraConfig, get_peft_model

    lora = LoraConfig(
        task_type="CAUSAL_LM", r=8, lora_alpha=32, lora_dropout=0.1, inference_mode=False,
        target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
    )
    get_peft_model(model, lora).save_pretrained(SIDE["adapter"], save_embedding_layers=False)
    tell(ready=True)


def load(attention):
    model = Qwen3ForCausalLM.from_pretrained(
        SIDE["model"], dtype=DTYPE, attn_implementation=attention, device_map={"": SIDE["device"]},
    )
    model.config.use_cache = False
    if ROLE == "seed":
        model.enable_input_require_grads()
    if SIDE["lora"]:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, SIDE["adapter"], is_trainable=True)
    return model


def read_workload():
    with open(SIDE["workload"]) as file:
        return json.load(file)


def seed():
    import tempfile

    from transformers import Trainer, TrainerCallback, TrainingArguments

    rows = [row for update in read_workload()["four"] for row in update]

    class Rows(torch.utils.data.Dataset):
        def __len__(self):
            return 4 * SIDE["totalSteps"]

        def __getitem__(self, index):
            row = rows[index % len(rows)]
            labels = [-100] * row["prompt"] + row["ids"][row["prompt"]:]
            return {"input_ids": row["ids"], "attention_mask": [1] * len(row["ids"]), "labels": labels}

    class InTurn(TrainerCallback):
        turn = None

        def on_step_begin(self, args, state, control, model=None, **_):
            if self.turn is None:
                self.turn = Turn(model)
            self.turn.losses.append([])

        def on_step_end(self, *_, **__):
            if self.turn.done():
                self.turn.reply()
                self.turn = None

    in_turn = InTurn()

    class InOrder(Trainer):
        def _get_train_sampler(self, *_):
            return torch.utils.data.SequentialSampler(self.train_dataset)

        def training_step(self, *args, **kwargs):
            loss = super().training_step(*args, **kwargs)
            in_turn.turn.losses[-1].append(loss)
            return loss

    args = TrainingArguments(
        output_dir=tempfile.mkdtemp(), per_device_train_batch_size=1, gradient_accumulation_steps=4,
        learning_rate=SIDE["learningRate"], max_steps=SIDE["totalSteps"], logging_steps=10,
        gradient_checkpointing=True, save_strategy="no", report_to="none", use_cpu=not CUDA,
        disable_tqdm=True,
    )
    trainer = InOrder(
        model=load("sdpa"), args=args, train_dataset=Rows(), callbacks=[in_turn],
        # One row a batch: nothing to pad.
        data_collator=lambda batch: {key: torch.tensor([batch[0][key]]) for key in batch[0]},
    )
    tell(ready=True)
    trainer.train()


def next_fit(rows, max_length):
    packed, room = [], -1
    for row in rows:
        if len(row["ids"]) > room:
            packed.append([])
            room = max_length
        packed[-1].append(row)
        room -= len(row["ids"])
    return packed


def grid(packed, flash):
    """Ids, positions, mask and targets of packed rows; one long row for flash attention."""
    if flash:
        packed = [[row for each in packed for row in each]]
    length = max(sum(len(row["ids"]) for row in each) for each in packed)
    ids, positions, segments, targets = (
        torch.full((len(packed), length), fill) for fill in (0, 0, 0, -100)
    )
    for r, each in enumerate(packed):
        at = 0
        for number, row in enumerate(each, 1):
            n = len(row["ids"])
            ids[r, at:at + n] = torch.tensor(row["ids"])
            positions[r, at:at + n] = torch.arange(n)
            segments[r, at:at + n] = number
            supervised = torch.tensor(row["ids"][row["prompt"]:])
            targets[r, at + row["prompt"] - 1:at + n - 1] = supervised
            at += n
    device = SIDE["device"]
    mask = None
    if not flash:
        segments = segments.to(device)
        same = segments[:, None, :, None] == segments[:, None, None, :]
        mask = same & torch.ones(length, length, dtype=torch.bool, device=device).tril()
    return ids.to(device), positions.to(device), mask, targets.to(device)


def packed():
    try:
        import flash_attn  # noqa: F401

        flash = CUDA
    except ImportError:
        flash = False
    workload = read_workload()
    model = load("flash_attention_2" if flash else "sdpa").train()
    core = model.get_base_model() if SIDE["lora"] else model
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=SIDE["learningRate"], weight_decay=0.0, fused=True)
    total = SIDE["totalSteps"]
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k: max(0.0, 1 - k / total))
    following = {"four": 0, "large": 0}
    tell(ready=True, attention="flash" if flash else "sdpa")
    while True:
        turn = Turn(model)
        phase = turn.command["phase"]
        while not turn.done():
            rows = workload[phase][following[phase] % len(workload[phase])]
            following[phase] += 1
            whole = next_fit(rows, workload["maxLength"])
            supervised = sum(len(row["ids"]) - row["prompt"] for row in rows)
            parts = []
            for start in range(0, len(whole), SIDE["microRows"]):
                ids, positions, mask, targets = grid(whole[start:start + SIDE["microRows"]], flash)
                hidden = core.model(
                    input_ids=ids, position_ids=positions, attention_mask=mask, use_cache=False,
                ).last_hidden_state
                chosen = targets >= 0
                logits = core.lm_head(hidden[chosen]).float()
                loss = F.cross_entropy(logits, targets[chosen], reduction="sum") / supervised
                loss.backward()
                parts.append(loss.detach())
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            schedule.step()
            turn.losses.append(parts)
        turn.reply()


{"weights": weights, "seed": seed, "packed": packed}[ROLE]()
