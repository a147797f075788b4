"""BERT as an embedding model. Names and facts are llama.cpp's; the pooler, which sentence-transformers does not use, is
left out.

Source: llama.cpp's `convert_hf_to_gguf.py` (BertModel).
"""

from collections.abc import Mapping
from typing import Any, Final

from shared.errors import InvalidRequest
from worker.convert import encode
from worker.convert.config import Config
from worker.convert.folder import Folder
from worker.convert.layout import Architecture, Slot, linear, norm

_POOLING: Final = {"pooling_mode_mean_tokens": 1, "pooling_mode_cls_token": 2, "pooling_mode_lasttoken": 3}
"""llama.cpp's numbers of ways to make one vector of many."""

_MEAN: Final = 1


def _sizes(config: Config) -> Mapping[str, int]:
    return {
        "vocab": config.count("vocab_size"),
        "positions": config.count("max_position_embeddings"),
        "types": config.count("type_vocab_size", 2),
        "hidden": config.count("hidden_size"),
        "inner": config.count("intermediate_size"),
    }


def _facts(config: Config, architecture: str) -> list[bytes]:
    config.one_of("hidden_act", ("gelu",))
    config.one_of("position_embedding_type", ("absolute",))
    size = _sizes(config)
    numbers = {
        "context_length": size["positions"],
        "embedding_length": size["hidden"],
        "feed_forward_length": size["inner"],
        "block_count": config.count("num_hidden_layers"),
        "attention.head_count": config.count("num_attention_heads"),
    }
    pairs = [encode.uint32(f"{architecture}.{name}", number) for name, number in numbers.items()]
    pairs.append(encode.float32(f"{architecture}.attention.layer_norm_epsilon", config.number("layer_norm_eps", 1e-12)))
    pairs.append(encode.boolean(f"{architecture}.attention.causal", False))
    return pairs


def pooling(folder: Folder) -> int:
    """How sentence-transformers pools, by its `modules.json`; the mean, as it does where nothing is said.

    Raises InvalidRequest for a way that llama.cpp has not.
    """
    told = next((folder.json(name) for name in sorted(folder) if name.endswith("_Pooling/config.json")), {})
    asked = [key for key, value in told.items() if key.startswith("pooling_mode_") and value is True]
    if not asked:
        return _MEAN
    if len(asked) > 1 or asked[0] not in _POOLING:
        raise InvalidRequest(f"the pooling {' and '.join(asked)} is not supported", param="files")
    return _POOLING[asked[0]]


_TOP: Final[dict[str, Any]] = {
    "embeddings.word_embeddings.weight": Slot("token_embd.weight", ("vocab", "hidden")),
    "embeddings.position_embeddings.weight": Slot("position_embd.weight", ("positions", "hidden")),
    "embeddings.token_type_embeddings.weight": Slot("token_types.weight", ("types", "hidden")),
    **norm("embeddings.LayerNorm", "token_embd_norm", bias=True),
}

BERT: Final = Architecture(
    gguf="bert",
    prefix="encoder.layer",
    top=_TOP,
    block={
        **linear("attention.self.query", "attn_q", "hidden", "hidden", bias=True),
        **linear("attention.self.key", "attn_k", "hidden", "hidden", bias=True),
        **linear("attention.self.value", "attn_v", "hidden", "hidden", bias=True),
        **linear("attention.output.dense", "attn_output", "hidden", "hidden", bias=True),
        **norm("attention.output.LayerNorm", "attn_output_norm", bias=True),
        **linear("intermediate.dense", "ffn_up", "inner", "hidden", bias=True),
        **linear("output.dense", "ffn_down", "hidden", "inner", bias=True),
        **norm("output.LayerNorm", "layer_output_norm", bias=True),
    },
    sizes=_sizes,
    facts=_facts,
    unused=("embeddings.position_ids", "pooler.dense.weight", "pooler.dense.bias"),
)
