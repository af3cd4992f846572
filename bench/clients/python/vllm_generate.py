"""vLLM on the CPU: its file filter, the checkpoint and the adapter loaded, greedy tokens."""

import os

os.environ.update(
    VLLM_CPU_KVCACHE_SPACE="1",
    VLLM_CPU_OMP_THREADS_BIND="nobind",
    VLLM_ENABLE_V1_MULTIPROCESSING="0",
    VLLM_NO_USAGE_STATS="1",
    OMP_NUM_THREADS="1",
)
import vllm
from client import artefacts, done, equal, facts, tokens, without_end
from vllm import LLM, SamplingParams
from vllm.config.load import LoadConfig
from vllm.lora.request import LoRARequest
from vllm.model_executor.model_loader.default_loader import DefaultModelLoader

loader = DefaultModelLoader(LoadConfig())
for name in ("checkpoint", "merged"):
    folder = artefacts[name]
    prepared = loader._prepare_weights(folder, None, None, True, None)
    equal(f"files of {name}", [os.path.basename(each) for each in prepared[1]], ["model.safetensors"])

model = LLM(
    model=artefacts["checkpoint"],
    dtype="float32",
    enforce_eager=True,
    max_model_len=256,
    max_num_seqs=4,
    enable_lora=True,
    max_lora_rank=8,
    seed=0,
)
params = SamplingParams(temperature=0, max_tokens=facts["newTokens"], detokenize=True)
for name, lora in (("checkpoint", None), ("adapter", LoRARequest("adapter", 1, artefacts["adapter"]))):
    wanted = facts[name]
    made = model.generate(
        [{"prompt_token_ids": each["ids"]} for each in wanted], params, lora_request=lora, use_tqdm=False
    )
    greedy = [without_end(each.outputs[0].token_ids) for each in made]
    tokens(f"greedy tokens of {name}", greedy, [each["greedy"] for each in wanted])
chats = [each["messages"] for each in facts["checkpoint"]]
asked = model.chat(chats, params, use_tqdm=False)
tokens(
    "prompt ids of chats",
    [list(each.prompt_token_ids) for each in asked],
    [each["ids"] for each in facts["checkpoint"]],
)
done(vllm.__version__)
