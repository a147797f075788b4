"""Whether the engine will hold an answer to a JSON schema.

When its grammar library cannot compile a schema (a pattern that is no regular expression, say), `/completion` logs that
and generates without any constraint (seen with llama.cpp b11549 and llguidance).
"""

from collections.abc import Mapping
from typing import Any, Final

from shared.errors import InvalidRequest
from worker.runtime.llama_http import EngineClient

_NO_JSON: Final = "x"
"""No JSON text begins with it."""

_FORCE: Final = 1000.0


async def ensure(engine: EngineClient, schema: Mapping[str, Any]) -> None:
    """Ask for a token that a constraint would forbid. Raises InvalidRequest when it comes nevertheless."""
    tokens = (await engine.call("/tokenize", {"content": _NO_JSON}))["tokens"]
    body = {"prompt": tokens[-1:], "n_predict": 1, "temperature": 0, "logit_bias": [[tokens[-1], _FORCE]]}
    answer = await engine.call("/completion", {**body, "json_schema": schema})
    if answer["content"].strip() == _NO_JSON:
        raise InvalidRequest(
            "Invalid value for 'response_format': the engine cannot hold an answer to this schema.",
            param="response_format",
        )
