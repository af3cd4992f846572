"""safetensors: names, shapes and every value of a file, which its own writer writes back to the byte."""

import json
import struct
import tempfile

import numpy
from client import artefacts, check, done, equal, version
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

for name in ("checkpoint/model.safetensors", "adapter/adapter_model.safetensors"):
    owner, file = name.split("/")
    path = f"{artefacts[owner]}/{file}"
    with open(path, "rb") as raw:
        data = raw.read()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    tensors = load_file(path)
    same = 0
    for key, array in tensors.items():
        start, end = header[key]["data_offsets"]
        stored = numpy.frombuffer(data[8 + length :][start:end], numpy.float32)
        same += (
            array.dtype == numpy.float32
            and list(array.shape) == header[key]["shape"]
            and (array.tobytes() == stored.tobytes())
            and bool(numpy.isfinite(array).all())
        )
    check(
        f"tensors of {file}",
        same == len(tensors) == len(header) - ("__metadata__" in header),
        f"{same} of {len(tensors)}",
    )
    with safe_open(path, "np") as opened:
        equal(f"format of {file}", (opened.metadata() or {}).get("format"), "pt")
    again = tempfile.mktemp(suffix=".safetensors")
    save_file(tensors, again, {"format": "pt"})
    back = load_file(again)
    equal(f"{file} written back", all((back[key] == array).all() for key, array in tensors.items()), True)
done(version("safetensors"))
