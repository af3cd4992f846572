#!/usr/bin/env bash
# What the machine has: GPU, processors, memory, versions, and whether the CUDA provider finds its libraries. Exit code
# 1 where it does not. In: ORTUNE_ORT_LIB, PYTHON.
nvidia-smi --query-gpu=name,memory.total,memory.used,driver_version,clocks.sm,clocks.max.sm,power.limit --format=csv 2>&1 ||
  echo "no nvidia-smi"
echo "$(nproc) processors"
free -g | head -n 2
df -h "${TMPDIR:-/tmp}" | tail -n 1
uname -r
ldd --version | head -n 1
deno --version
"$PYTHON" - <<'P'
import sys
from importlib.metadata import PackageNotFoundError, version
print("Python", sys.version.split()[0])
for name in """torch transformers peft accelerate flash-attn nvidia-cublas nvidia-cuda-runtime nvidia-cuda-nvrtc
               nvidia-curand nvidia-cudnn-cu13""".split():
    try:
        print(name, version(name))
    except PackageNotFoundError:
        print(name, "-")
P
echo "LD_LIBRARY_PATH=$LD_LIBRARY_PATH"
provider=$(dirname "$ORTUNE_ORT_LIB")/libonnxruntime_providers_cuda.so
if [[ ! -e $provider ]]; then
  echo "error: $provider is missing: pack again with --lib DIR, ONNX Runtime with its CUDA provider"
  exit 1
fi
ldd "$provider"
missing=$(ldd "$provider" | grep 'not found' | awk '{print $1}' | tr '\n' ' ')
if [[ -n $missing ]]; then
  echo "error: the CUDA provider does not find ${missing% }: name their folders in LD_LIBRARY_PATH"
  exit 1
fi
# Provider_GetHost alone is the core's to give.
ldd -r "$provider" 2>&1 >/dev/null | grep 'undefined symbol' | grep -v Provider_GetHost | head -n 5
exit 0
