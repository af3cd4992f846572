"""mlx-lm: loads the checkpoint and the adapter's merge, and generates greedily on MLX's CPU."""

import mlx.core as mx
from client import artefacts, close, done, facts, tokens, version, without_end
from mlx_lm import load
from mlx_lm.generate import generate_step

mx.set_default_device(mx.cpu)
for name in ("checkpoint", "merged"):
    model, tokenizer = load(artefacts[name])
    wanted = facts[name]
    ids = [tokenizer.apply_chat_template(each["messages"], add_generation_prompt=True) for each in wanted]
    tokens(f"prompt ids of {name}", [list(each) for each in ids], [each["ids"] for each in wanted])
    logits = [model(mx.array([each["ids"]]))[0, -1].tolist() for each in wanted]
    close(f"logits of {name}", logits, [each["logits"] for each in wanted])
    greedy = []
    for each in wanted:
        made = []
        for token, _ in generate_step(mx.array(each["ids"]), model, max_tokens=facts["newTokens"]):
            made.append(int(token))
            if made[-1] in facts["eosTokenIds"]:
                break
        greedy.append(without_end(made))
    tokens(f"greedy tokens of {name}", greedy, [each["greedy"] for each in wanted])
done(f"{version('mlx-lm')}, mlx {version('mlx')}")
