#!/usr/bin/env bash
# Tests and times ortune on this machine's GPU, without a network. Needs CUDA and its driver; PyTorch's contenders
# also a Python with torch, transformers and peft.
#
#   usage: bash run.sh [SECONDS] [STEPS] [--rehearse]
#     SECONDS     what all steps together may take (430); they come in the order of their worth
#     STEPS       a regular expression of the steps to run, such as 'device|full' (all)
#     --rehearse  races of a tiny model on the CPU, to try all of this where there is no GPU
#   in:  OUT, folder for logs (out beside this file); PYTHON (python3); SCRATCH, folder for weights
#        (/tmp/ortune-scratch); ORTUNE_ORT_LIB, another libonnxruntime than the pack's
#   out: at most 8 logs, a summary last on stdout; exit code 1 where a step failed
set -uo pipefail
kit=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if ! "$kit/bin/deno" --version >/dev/null; then
  echo "error: $kit/bin/deno does not run here: pack again with --deno BINARY, a Deno for this machine" >&2
  exit 2
fi
export PYTHON=${PYTHON:-python3} OUT=${OUT:-$kit/out} HOME=${HOME:-/tmp}
export DENO_DIR=${DENO_DIR:-${TMPDIR:-/tmp}/ortune-deno} DENO_NO_UPDATE_CHECK=1 NO_COLOR=1 PYTHONUNBUFFERED=1
export ORTUNE_ORT_LIB=${ORTUNE_ORT_LIB:-$kit/lib/libonnxruntime.so}
export PATH=$kit/bin:$PATH:/usr/local/nvidia/bin:/usr/local/cuda/bin
# CUDA as pip installs it; the driver where it lies outside of the loader's paths, as in some containers.
folders=$("$PYTHON" "$kit/js/cuda_folders.py" 2>/dev/null || true)
if ! ldconfig -p 2>/dev/null | grep -q 'libcuda\.so\.1'; then
  found=$(find /usr/local/nvidia /usr/local/cuda* /usr/lib /usr/lib64 /lib -name libcuda.so.1 -not -path '*/stubs/*' 2>/dev/null | head -n 1)
  [[ -z $found ]] || folders+=":$(dirname "$found")"
fi
export LD_LIBRARY_PATH=$kit/lib:${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folders:/usr/local/cuda/lib64:/usr/local/nvidia/lib64
# Vulkan, for WebGPU, takes this machine's GPU and no software in its place.
icd=$(ls /{usr/local/nvidia/share,usr/share,etc}/vulkan/icd.d/nvidia_icd*.json 2>/dev/null | head -n 1)
[[ -z $icd ]] || export VK_DRIVER_FILES=$icd VK_ICD_FILENAMES=$icd
cd "$kit/js" || exit 2
exec "$kit/bin/deno" run --allow-all --no-config run.js "$@"
