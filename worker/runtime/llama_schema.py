"""Whether the engine will hold an answer to a JSON schema.

When its grammar library cannot compile a schema (a pattern that is no regular expression, say), `/completion` logs that
and generates without any constraint (seen with llama.cpp b11549 and llguidance).
"""

from collections.abc import Mapping
from typing import Any, Final

from shared.errors import EngineFailed, InvalidRequest
from worker.runtime.llama_http import EngineClient

_NO_JSON: Final = "x"
"""No JSON text begins with it."""

_FORCE: Final = 1000.0


async def ensure(engine: EngineClient, held: Mapping[str, Any]) -> None:
    """Ask for a token that a constraint would forbid. `held` is the field of the engine's that constrains.

    Raises InvalidRequest when it comes nevertheless, or when the engine does not take the field.
    """
    tokens = (await engine.call("/tokenize", {"content": _NO_JSON}))["tokens"]
    body = {"prompt": tokens[-1:], "n_predict": 1, "temperature": 0, "logit_bias": [[tokens[-1], _FORCE]]}
    try:
        answer = await engine.call("/completion", {**body, **held})
    except (InvalidRequest, EngineFailed) as error:
        if "grammar" not in error.message:
            raise
        answer = {"content": _NO_JSON}
    if answer["content"].strip() == _NO_JSON:
        raise InvalidRequest(
            "Invalid value for 'response_format': the engine cannot hold an answer to this schema.",
            param="response_format",
        )
