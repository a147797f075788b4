"""Rotary position embeddings: what the header says of them, and the factors that Llama 3.1 brought.

Sources: transformers' `modeling_rope_utils.py`, llama.cpp's `convert_hf_to_gguf.py`.
"""

import math

import numpy as np

from shared.errors import InvalidRequest
from worker.convert import encode
from worker.convert.config import FILE, Config
from worker.convert.tensor import Array

_BASE = 10_000.0


def _parameters(config: Config) -> Config:
    """`rope_parameters`, or the older `rope_scaling`."""
    newer = config.part("rope_parameters")
    return config.part("rope_scaling") if newer.empty else newer


def kind(config: Config) -> str:
    """`default`, `linear`, `yarn` or `llama3`. Raises InvalidRequest for another."""
    told = _parameters(config)
    found = told.get("rope_type") or told.get("type") or "default"
    if found not in ("default", "linear", "yarn", "llama3"):
        raise InvalidRequest(
            f"{FILE}: rope scaling {found!r} is not supported, only linear, yarn and llama3", param="files"
        )
    return str(found)


def base(config: Config) -> float:
    return config.number("rope_theta", _parameters(config).number("rope_theta", _BASE))


def facts(config: Config, architecture: str) -> list[bytes]:
    """Pairs of the header."""
    pairs = [encode.float32(f"{architecture}.rope.freq_base", base(config))]
    if (found := kind(config)) in ("linear", "yarn"):
        told = _parameters(config)
        pairs.append(encode.string(f"{architecture}.rope.scaling.type", found))
        pairs.append(encode.float32(f"{architecture}.rope.scaling.factor", told.number("factor")))
        if found == "yarn":
            length = told.count("original_max_position_embeddings", config.count("max_position_embeddings"))
            pairs.append(encode.uint32(f"{architecture}.rope.scaling.original_context_length", length))
    return pairs


def factors(config: Config, dimensions: int) -> Array:
    """What Llama 3.1 divides each frequency by: long waves by the factor, short ones not, between them smoothly."""
    told = _parameters(config)
    factor, low, high = (
        told.number(key, default) for key, default in (("factor", 8), ("low_freq_factor", 1), ("high_freq_factor", 4))
    )
    length = told.count("original_max_position_embeddings", 8192)
    if factor <= 0 or not 0 < low < high:
        raise InvalidRequest(f"{FILE}: the rope scaling's factors make no sense", param="files")
    waves = 2 * math.pi * base(config) ** (np.arange(0, dimensions, 2, dtype=np.float64) / dimensions)
    smooth = (length / waves - low) / (high - low)
    between = 1 / ((1 - smooth) / factor + smooth)
    found = np.where(waves < length / high, 1.0, np.where(waves > length / low, factor, between))
    return found.astype("<f4")
