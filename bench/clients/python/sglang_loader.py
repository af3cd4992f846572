"""SGLang: its file filter and its Qwen3's weight mapping, run from the source in its wheel.

SGLang itself needs a GPU. Both functions are taken out of their files as they are; what they call beyond
them stands below. Every parameter of the served model must be filled by the checkpoint, once.
"""

import ast
import fnmatch
import glob
import json
import logging
import os
import re
import types
import zipfile

import torch
from client import artefacts, check, done, equal
from safetensors.torch import load_file

(wheel,) = glob.glob(os.path.join(os.environ["ORTUNE_SOURCES"], "sglang-*.whl"))
archive = zipfile.ZipFile(wheel)


def source(path, *names):
    """The definitions of these names in a file, without annotations' types being needed."""
    text = archive.read(path).decode()
    found = [
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name in names
    ]
    return "from __future__ import annotations\n" + "\n".join(ast.unparse(node) for node in found)


LoadFormat = types.SimpleNamespace(
    **{
        name: name
        for name in ["AUTO", "SAFETENSORS", "FASTSAFETENSORS", "INSTANTTENSOR", "MISTRAL", "PT", "NPCACHE", "DUMMY"]
    }
)
space = {
    "os": os,
    "glob": glob,
    "json": json,
    "fnmatch": fnmatch,
    "torch": torch,
    "re": re,
    "LoadFormat": LoadFormat,
    "SAFE_WEIGHTS_INDEX_NAME": "model.safetensors.index.json",
    "get_server_args": lambda: None,
    "envs": types.SimpleNamespace(SGLANG_SORT_WEIGHT_FILES=types.SimpleNamespace(get=lambda: 0)),
    "logger": logging.getLogger(),
}
loader_path = "sglang/srt/model_loader/loader.py"
exec(
    source(
        "sglang/srt/model_loader/weight_utils.py",
        "filter_duplicate_safetensors_files",
        "filter_files_not_needed_for_inference",
        "default_weight_loader",
    ),
    space,
)
loader_class = next(
    node
    for node in ast.parse(archive.read(loader_path).decode()).body
    if isinstance(node, ast.ClassDef) and node.name == "DefaultModelLoader"
)
prepare = next(node for node in loader_class.body if getattr(node, "name", "") == "_prepare_weights")
exec("from __future__ import annotations\n" + ast.unparse(prepare), space)
loader = types.SimpleNamespace(
    load_config=types.SimpleNamespace(load_format=LoadFormat.AUTO, download_dir=None, ignore_patterns=None),
    _maybe_download_from_modelscope=lambda path, revision: path,
)
files = {}
for name, wanted in (
    ("checkpoint", "model.safetensors"),
    ("merged", "model.safetensors"),
    ("adapter", "adapter_model.safetensors"),
):
    _, files[name], safe = space["_prepare_weights"](loader, artefacts[name], None, True)
    equal(f"files of {name}", [os.path.basename(each) for each in files[name]], [wanted])

# The names of Qwen3ForCausalLM's parameters there: stacked query, key and value, gate and up.
weights = load_file(files["checkpoint"][0])
filled = {}


class Parameter:
    def __init__(self, name):
        self.name = name

    def weight_loader(self, param, loaded, shard=None):
        filled.setdefault(self.name, []).append((shard, tuple(loaded.shape)))


names = [re.sub(r"\b(gate|up)_proj\b", "gate_up_proj", re.sub(r"\b[qkv]_proj\b", "qkv_proj", name)) for name in weights]
params = {name: Parameter(name) for name in names}
exec(source("sglang/srt/layers/utils/common.py", "get_layer_id"), space)
model_class = next(
    node
    for node in ast.parse(archive.read("sglang/srt/models/qwen3.py").decode()).body
    if isinstance(node, ast.ClassDef) and node.name == "Qwen3ForCausalLM"
)
load = next(node for node in model_class.body if getattr(node, "name", "") == "load_weights")
load.decorator_list = []
exec("from __future__ import annotations\n" + ast.unparse(load), space)
unknown = []
space["logger"] = types.SimpleNamespace(warning=unknown.append)
model = types.SimpleNamespace(
    named_parameters=lambda: params.items(),
    pp_group=types.SimpleNamespace(is_last_rank=True),
    config=types.SimpleNamespace(tie_word_embeddings=True),
    model=types.SimpleNamespace(),
)
space["load_weights"](model, weights.items())
shards = {"qkv_proj": ["k", "q", "v"], "gate_up_proj": [0, 1]}
whole = 0
for name in params:
    got = sorted(shard for shard, _ in filled.get(name, []) if shard is not None)
    wanted = next((value for key, value in shards.items() if key in name), [])
    whole += got == wanted and len(filled.get(name, [])) == max(1, len(wanted))
check("parameters filled", whole == len(params) and not unknown, f"{whole} of {len(params)}")
done(os.path.basename(wheel).split("-")[1] + ", from its source")
