"""Which type each tensor gets: llama.cpp's rules for `convert_hf_to_gguf.py --outtype` and `llama-quantize`."""

from typing import Final

from shared.catalog.gguf_types import BLOCKS

_KEPT: Final = (
    "_norm.weight",
    "position_embd.weight",
    "token_types.weight",
    "rope_freqs.weight",
    "ffn_gate_inp.weight",
    "ffn_gate_inp_shexp.weight",
    "ssm_conv1d.weight",
    "shortconv.conv.weight",
    "attn_rel_b.weight",
)
"""Ends of names of matrices that are small, or that llama.cpp computes with in float32 only."""

_OUTPUT: Final = "output.weight"
_TABLE: Final = "token_embd.weight"


def converted(name: str, shape: tuple[int, ...], source: str, wanted: str, output: str) -> str:
    """The type of a tensor whose source is of another format; `wanted` is a type, or empty for 16 bits."""
    if len(shape) < 2 or name.endswith(_KEPT):
        return "F32"
    sixteen = "BF16" if source == "BF16" else "F16"
    return _quantized(name, shape, sixteen, wanted, output)


def requantized(name: str, shape: tuple[int, ...], source: str, wanted: str, output: str) -> str:
    """The type of a tensor of a GGUF file; what is not made smaller stays as it is."""
    if source not in ("F32", "F16", "BF16") or len(shape) < 2:
        return source
    if not name.endswith(".weight") or name.endswith(_KEPT) or "time_mix_" in name:
        return source
    return _quantized(name, shape, "BF16" if source == "BF16" else "F16", wanted, output)


def output_of(names: set[str]) -> str:
    """The tensor that makes logits: the input's table where there is no other."""
    return _OUTPUT if _OUTPUT in names else _TABLE


def _quantized(name: str, shape: tuple[int, ...], sixteen: str, wanted: str, output: str) -> str:
    if wanted in ("", "F32", "F16", "BF16"):
        return wanted or sixteen
    if name == output:
        # llama.cpp takes Q6_K, which is not made here: this is the next better one.
        wanted = "Q8_0"
    return wanted if shape[-1] % BLOCKS[wanted][0] == 0 else sixteen
