"""Calls that a request forces, as a JSON schema over the allowed functions. Pure.

llama.cpp lets a model write text first and end without a call, whatever `tool_choice` says. So the answer is
constrained to `[{"name": …, "arguments": {…}}, …]`; the worker reads it back as calls.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from shared.constrain.rewrite import Constraint, Schema

PARALLEL_MAX = 8
"""Calls in one answer: a small model would fill the whole context with the same one."""


def call_schema(constraint: Constraint, tools: Sequence[Mapping[str, Any]], *, most: int) -> Schema:
    """A list of 1 to `most` calls of these functions. Raises InvalidRequest for parameters that are no schema.

    A function without `strict` is held to what of its schema can be enforced.
    """
    calls = [_one(constraint, tool["function"], f"tools[{i}].function.parameters") for i, tool in enumerate(tools)]
    return {
        "type": "array",
        "items": {"anyOf": calls} if len(calls) > 1 else calls[0],
        "minItems": 1,
        "maxItems": most,
    }


def _one(constraint: Constraint, function: Mapping[str, Any], param: str) -> Schema:
    given = function.get("parameters") or {"type": "object", "additionalProperties": False}
    arguments = constraint.add(given, param, loose=not function.get("strict"))
    return {
        "type": "object",
        "properties": {"name": {"enum": [function["name"]]}, "arguments": arguments or {"type": "object"}},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }
