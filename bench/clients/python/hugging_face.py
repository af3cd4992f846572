"""What scripts on transformers share: a model's token ids, logits and greedy tokens beside ortune's."""

import torch
from client import close, facts, tokens, without_end

torch.set_num_threads(1)


def greedy_reply(model, prompt):
    """`prompt`: ids, int64 [1, length]; the ids that follow, without an end."""
    made = model.generate(
        input_ids=prompt,
        attention_mask=torch.ones_like(prompt),
        max_new_tokens=facts["newTokens"],
        do_sample=False,
    )
    return without_end(made[0, prompt.shape[1] :])


def compare_model(model, tokenizer, wanted, of=""):
    """`wanted`: the prompts of facts.json for this model; `of` tells it from another of the same script."""
    ids = [
        tokenizer.apply_chat_template(each["messages"], add_generation_prompt=True, return_dict=True)["input_ids"]
        for each in wanted
    ]
    tokens(f"prompt ids{of}", ids, [each["ids"] for each in wanted])
    logits, greedy = [], []
    with torch.no_grad():
        for each in wanted:
            prompt = torch.tensor([each["ids"]])
            logits.append(model(input_ids=prompt).logits[0, -1].float().tolist())
            greedy.append(greedy_reply(model, prompt))
    close(f"logits{of}", logits, [each["logits"] for each in wanted])
    tokens(f"greedy tokens{of}", greedy, [each["greedy"] for each in wanted])
