"""llama.cpp: convert_hf_to_gguf.py of the source in llama-cpp-python's sdist; the GGUF read back by gguf.

What it writes, published.gguf, is for node-llama-cpp. The converter knows tokenizers by name, so it is given the
model with the published one; the quickstart's own tokenizer it refuses.
"""

import glob
import json
import os
import subprocess
import sys
import tarfile
import tempfile

import numpy
from client import artefacts, check, done, equal, limit
from gguf import GGUFReader
from safetensors.numpy import load_file

(sdist,) = glob.glob(os.path.join(os.environ["ORTUNE_SOURCES"], "llama_cpp_python-*.tar.gz"))
root = tempfile.mkdtemp()
with tarfile.open(sdist) as archive:
    wanted = [each for each in archive if "/vendor/llama.cpp/" in each.name and each.name.endswith((".py", ".json"))]
    archive.extractall(root, wanted, filter="data")
(script,) = glob.glob(root + "/*/vendor/llama.cpp/convert_hf_to_gguf.py")
RENAMED = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}


def convert(folder, out):
    command = [sys.executable, script, folder, "--outfile", out, "--outtype", "f32"]
    return subprocess.run(command, check=False, capture_output=True, text=True)


own = convert(artefacts["checkpoint"], os.path.join(root, "own.gguf"))
if own.returncode == 0:
    check("the quickstart's tokenizer", False, "is known now: convert the checkpoint")
else:
    limit("the quickstart's tokenizer", own.stderr.strip().splitlines()[-1])
folder = artefacts["published"]
out = os.path.join(os.path.dirname(artefacts["merged"]), "published.gguf")
ran = convert(folder, out)
if ran.returncode != 0:
    raise RuntimeError(ran.stderr)
reader = GGUFReader(out)
tensors = {each.name: each for each in reader.tensors}
stored = load_file(folder + "/model.safetensors")
sums = sorted(float(numpy.abs(each).sum(dtype=numpy.float64)) for each in stored.values())
read = sorted(float(numpy.abs(each.data).sum(dtype=numpy.float64)) for each in tensors.values())
same = all(numpy.array_equal(tensors[key].data.ravel(), stored[value].ravel()) for key, value in RENAMED.items())
check("tensors", same and read == sums, f"{len(read)} of {len(sums)}")
with open(folder + "/tokenizer_config.json", encoding="utf-8") as file:
    template = json.load(file)["chat_template"]
equal("chat template", reader.get_field("tokenizer.chat_template").contents(), template)
equal("end of replies", int(reader.get_field("tokenizer.ggml.eos_token_id").contents()), 151645)
done(os.path.basename(sdist).removesuffix(".tar.gz").replace("llama_cpp_python-", "llama-cpp-python ") + "'s copy")
