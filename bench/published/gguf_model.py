"""What all makers of models share: reading a GGUF, and writing a Hugging Face folder.

In:  a GGUF of a Python package. Out: config.json, generation_config.json, tokenizer.json, tokenizer_config.json,
     special_tokens_map.json and model.safetensors in float32.
"""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize
from safetensors.numpy import save_file

# GGUF's names of token types; a control token is what Hugging Face calls special.
NORMAL, CONTROL, USER_DEFINED = 1, 3, 4
# GGUF's names of a layer's tensors and Hugging Face's, where families agree.
LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


@dataclass(frozen=True)
class HuggingFaceModel:
    """The files of a folder, as they are written."""

    config: dict
    generation_config: dict
    tokenizer: dict
    tokenizer_config: dict
    special_tokens: dict
    tensors: dict[str, np.ndarray]

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, value in {
            "config.json": self.config,
            "generation_config.json": self.generation_config,
            "tokenizer.json": self.tokenizer,
            "tokenizer_config.json": self.tokenizer_config,
            "special_tokens_map.json": self.special_tokens,
        }.items():
            (folder / name).write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
        # Weights come last and by renaming, so that a folder with weights is a whole one.
        staged = folder / "model.safetensors.part"
        save_file(self.tensors, staged, metadata={"format": "pt"})
        os.replace(staged, folder / "model.safetensors")


class GgufModel:
    """A GGUF, read for one of the makers."""

    def __init__(self, path: Path, expected: dict):
        self.reader = GGUFReader(path)
        for name, value in expected.items():
            if self.field(name) != value:
                sys.exit(f"Cannot make a model: {name} is {self.field(name)!r}, expected {value!r}; use the GGUF of the package")

    def field(self, name: str):
        if name not in self.reader.fields:
            sys.exit(f"Cannot make a model: the GGUF has no {name}; use the one of the package")
        return self.reader.fields[name].contents()

    def shortest(self, name: str) -> float:
        """The number that was meant: 1e-05, not the 9.99999974e-06 that float32 makes of it."""
        return float(str(np.float32(self.field(name))))

    def has_tensor(self, name: str) -> bool:
        return any(tensor.name == name for tensor in self.reader.tensors)

    def tensors(self, layer: dict[str, str], change: Callable[[str, np.ndarray], np.ndarray]) -> dict[str, np.ndarray]:
        """All weights under Hugging Face's names; `change` gets each with GGUF's name."""
        return {
            hugging_face_name(tensor.name, layer): np.ascontiguousarray(
                change(tensor.name, dequantize(tensor.data, tensor.tensor_type).astype(np.float32)))
            for tensor in self.reader.tensors
        }


def hugging_face_name(name: str, layer: dict[str, str]) -> str:
    if name == "token_embd.weight":
        return "model.embed_tokens.weight"
    if name == "output_norm.weight":
        return "model.norm.weight"
    block, index, part, suffix = name.split(".")
    if block != "blk" or suffix != "weight" or part not in layer:
        raise KeyError(f"Cannot name {name}: the family has no such tensor")
    return f"model.layers.{index}.{layer[part]}.weight"


def added_token(id: int, content: str, special: bool) -> dict:
    return {"id": id, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
            "special": special}


def tokenizer_json(added: list[dict], steps: dict, model: dict) -> dict:
    """tokenizer.json around a BPE; `steps` has what cuts texts, `model` what differs of the BPE."""
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        **{name: steps.get(name) for name in ("normalizer", "pre_tokenizer", "post_processor", "decoder")},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            **model,
        },
    }


def added_tokens_decoder(added: list[dict]) -> dict:
    return {str(token["id"]): {key: value for key, value in token.items() if key != "id"} for token in added}
