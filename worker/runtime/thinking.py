"""How much a model thinks before it answers: `reasoning_effort` as llama.cpp and chat templates know it. Pure."""

from typing import Any

BUDGETS = {"low": 1024, "medium": 4096, "high": 16384}
"""Tokens of thought after which the engine ends it, by effort; `max` has no end but the answer's."""


def thinking_fields(effort: str | None) -> dict[str, Any]:
    """Fields of the engine's request. Without an effort the template decides, and most templates think.

    `none` works where the template knows `enable_thinking`. Templates have no word for `max`: they are told `high`.
    """
    if effort is None:
        return {}
    if effort == "none":
        return {"chat_template_kwargs": {"enable_thinking": False}}
    told = "high" if effort == "max" else effort
    fields: dict[str, Any] = {"chat_template_kwargs": {"enable_thinking": True, "reasoning_effort": told}}
    if effort in BUDGETS:
        fields["thinking_budget_tokens"] = BUDGETS[effort]
    return fields
