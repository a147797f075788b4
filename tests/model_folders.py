"""Made-up models of Hugging Face's form: a few small tensors, a configuration and a vocabulary, as files by name."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

HIDDEN, HEADS, SHARED, HEAD, INNER, LAYERS, VOCAB = 64, 4, 2, 16, 96, 2, 40
"""`SHARED` are the heads of keys and values; a head has `HEAD` rows."""

Array = NDArray[Any]

QWEN_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA_SPLIT = QWEN_SPLIT.replace(r"\p{N}| ", r"\p{N}{1,3}| ")


def safetensors(tensors: Mapping[str, Array | tuple[str, Array]]) -> bytes:
    """A file. An array has numpy's type, `("BF16", float32 array)` the upper halves of its numbers."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    pieces: list[bytes] = []
    size = 0
    for name, told in tensors.items():
        kind, array = told if isinstance(told, tuple) else (_KINDS[told.dtype.str], told)
        raw = (array.astype("<f4").view("<u4") >> 16).astype("<u2") if kind == "BF16" else array
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [size, size + raw.nbytes]}
        pieces.append(raw.tobytes())
        size += raw.nbytes
    text = json.dumps(header).encode()
    return b"".join([len(text).to_bytes(8, "little"), text, *pieces])


_KINDS = {"<f8": "F64", "<f4": "F32", "<f2": "F16", "<i8": "I64", "|u1": "U8"}


def decoder_tensors(
    *, bias: bool = False, norms: bool = False, output: bool = True, dtype: str = "<f4"
) -> dict[str, Array]:
    """Of Llama's names: `bias` as Qwen 2 has, `norms` as Qwen 3 has."""
    random = np.random.default_rng(1)
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (VOCAB, HIDDEN), "model.norm.weight": (HIDDEN,)}
    for number in range(LAYERS):
        at = f"model.layers.{number}"
        shapes |= {
            f"{at}.input_layernorm.weight": (HIDDEN,),
            f"{at}.post_attention_layernorm.weight": (HIDDEN,),
            f"{at}.self_attn.q_proj.weight": (HEADS * HEAD, HIDDEN),
            f"{at}.self_attn.k_proj.weight": (SHARED * HEAD, HIDDEN),
            f"{at}.self_attn.v_proj.weight": (SHARED * HEAD, HIDDEN),
            f"{at}.self_attn.o_proj.weight": (HIDDEN, HEADS * HEAD),
            f"{at}.mlp.gate_proj.weight": (INNER, HIDDEN),
            f"{at}.mlp.up_proj.weight": (INNER, HIDDEN),
            f"{at}.mlp.down_proj.weight": (HIDDEN, INNER),
        }
        if bias:
            shapes |= {f"{at}.self_attn.{part}_proj.bias": (HEADS * HEAD,) for part in "q"}
            shapes |= {f"{at}.self_attn.{part}_proj.bias": (SHARED * HEAD,) for part in "kv"}
        if norms:
            shapes |= {f"{at}.self_attn.{part}_norm.weight": (HEAD,) for part in "qk"}
    if output:
        shapes["lm_head.weight"] = (VOCAB, HIDDEN)
    return {name: random.normal(size=shape).astype(dtype) for name, shape in shapes.items()}


def decoder_config(word: str = "LlamaForCausalLM", **more: Any) -> dict[str, Any]:
    return {
        "architectures": [word],
        "hidden_act": "silu",
        "hidden_size": HIDDEN,
        "num_attention_heads": HEADS,
        "num_key_value_heads": SHARED,
        "intermediate_size": INNER,
        "num_hidden_layers": LAYERS,
        "vocab_size": VOCAB,
        "max_position_embeddings": 2048,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        **more,
    }


BLOCK_NAMES = {
    "input_layernorm.weight": "attn_norm.weight",
    "post_attention_layernorm.weight": "ffn_norm.weight",
    "self_attn.q_proj.weight": "attn_q.weight",
    "self_attn.k_proj.weight": "attn_k.weight",
    "self_attn.v_proj.weight": "attn_v.weight",
    "self_attn.o_proj.weight": "attn_output.weight",
    "mlp.gate_proj.weight": "ffn_gate.weight",
    "mlp.up_proj.weight": "ffn_up.weight",
    "mlp.down_proj.weight": "ffn_down.weight",
    "self_attn.q_proj.bias": "attn_q.bias",
    "self_attn.k_proj.bias": "attn_k.bias",
    "self_attn.v_proj.bias": "attn_v.bias",
    "self_attn.q_norm.weight": "attn_q_norm.weight",
    "self_attn.k_norm.weight": "attn_k_norm.weight",
}
TOP_NAMES = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
"""transformers' names of a decoder's tensors, and llama.cpp's."""


def byte_level(pre: Sequence[dict[str, Any]] = (), **more: Any) -> dict[str, Any]:
    """A `tokenizer.json` of byte-level BPE: a few letters, two merges, an end and a word of its own."""
    steps = list(pre) or [split(LLAMA_SPLIT), {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}]
    words = [*"abcdefgh", "Ġ", "ab", "abc"]
    return {
        "model": {"type": "BPE", "vocab": {word: n for n, word in enumerate(words)}, "merges": ["a b", "ab c"]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": steps},
        "added_tokens": [
            {"id": len(words), "content": "<|end|>", "special": True},
            {"id": len(words) + 1, "content": "<think>", "special": False},
        ],
        **more,
    }


def split(pattern: str) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


def decoder_folder(
    config: Mapping[str, Any] | None = None, tensors: Mapping[str, Any] | None = None, **files: Any
) -> dict[str, bytes]:
    """A Llama, unless told otherwise; `files` are further ones by name without `.json`, None for one less."""
    found = {
        "config.json": decoder_config() if config is None else config,
        "tokenizer.json": byte_level(),
        "tokenizer_config.json": {
            "eos_token": "<|end|>",
            "chat_template": "{% for m in messages %}{{ m }}{% endfor %}",
        },
        **{f"{name}.json": value for name, value in files.items()},
    }
    texts = {name: json.dumps(value).encode() for name, value in found.items() if value is not None}
    return {**texts, "model.safetensors": safetensors(decoder_tensors() if tensors is None else tensors)}


WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "sea", "##side", "!")

BERT_CONFIG: dict[str, Any] = {
    "architectures": ["BertModel"],
    "hidden_act": "gelu",
    "vocab_size": len(WORDS),
    "max_position_embeddings": 16,
    "hidden_size": 4,
    "intermediate_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "layer_norm_eps": 1e-12,
}


def bert_tensors() -> dict[str, Array]:
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.position_ids": (1, 16),
        "embeddings.word_embeddings.weight": (8, 4),
        "embeddings.position_embeddings.weight": (16, 4),
        "embeddings.token_type_embeddings.weight": (2, 4),
        **_norm("embeddings.LayerNorm"),
        "pooler.dense.weight": (4, 4),
        "pooler.dense.bias": (4,),
    }
    for layer in range(2):
        at = f"encoder.layer.{layer}"
        for part in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
            shapes |= {f"{at}.{part}.weight": (4, 4), f"{at}.{part}.bias": (4,)}
        shapes |= {f"{at}.intermediate.dense.weight": (8, 4), f"{at}.intermediate.dense.bias": (8,)}
        shapes |= {f"{at}.output.dense.weight": (4, 8), f"{at}.output.dense.bias": (4,)}
        shapes |= _norm(f"{at}.attention.output.LayerNorm") | _norm(f"{at}.output.LayerNorm")
    found: dict[str, Array] = {}
    for number, (name, shape) in enumerate(shapes.items()):
        values = np.arange(int(np.prod(shape))).reshape(shape)
        found[name] = values if name.endswith("ids") else (values / 7 + number).astype("<f4")
    return found


def bert_folder(config: Mapping[str, Any] | None = None, **files: Any) -> dict[str, bytes]:
    special = {f"{name.lower()}_token": f"[{name}]" for name in ("PAD", "UNK", "CLS", "SEP", "MASK")}
    found = {
        "config.json": {**BERT_CONFIG, **(config or {})},
        "special_tokens_map.json": special,
        **{f"{name}.json": value for name, value in files.items()},
    }
    return {
        **{name: json.dumps(value).encode() for name, value in found.items()},
        "vocab.txt": ("\n".join(WORDS) + "\n").encode(),
        "model.safetensors": safetensors(bert_tensors()),
    }


def _norm(name: str) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (4,), f"{name}.bias": (4,)}
