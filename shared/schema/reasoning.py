"""How much a model thinks: `reasoning_effort`, or `reasoning.effort`, which wins as it does in Ollama."""

from typing import Any

from shared.errors import InvalidRequest
from shared.schema.body import json_type, object_at, wrong

_EFFORTS = {
    "none": "none",
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "max",
    "ultra": "max",
    "max": "max",
}
"""What may be asked, and what an engine is told."""


def effort_of(effort: Any, reasoning: Any) -> tuple[str | None, str]:
    """`none`, `low`, `medium`, `high`, `max`, or None for the model's own default; and the field that was used.

    Both fields are checked. Raises InvalidRequest.
    """
    asked, param = _effort(effort, "reasoning_effort"), "reasoning_effort"
    if reasoning is not None:
        inner = object_at(reasoning, "reasoning", ("effort",)).get("effort")
        if inner is not None:
            asked, param = _effort(inner, "reasoning.effort"), "reasoning.effort"
    return asked, param


def _effort(value: Any, param: str) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise wrong(param, f"expected a string, not {json_type(value)}")
    if value not in _EFFORTS:
        raise InvalidRequest(
            f'invalid reasoning value: "{value[:40]}" (must be "minimal", "low", "medium", "high", "xhigh", "ultra", '
            '"max", or "none")',
            param=param,
        )
    return _EFFORTS[value]
