"""An error as an answer: OpenAI's object, or Ollama's one word of it under `/api/`."""

from typing import Any, Final

from fastapi.responses import JSONResponse, Response

from shared.errors import PunaError

NATIVE: Final = "/api/"
"""Routes under this speak Ollama's own protocol."""


def native_body(error: PunaError) -> dict[str, Any]:
    """`{"error": "<message>"}`."""
    return {"error": error.message}


def refusal(error: PunaError, path: str) -> Response:
    """The answer to a request of a path."""
    body = native_body(error) if path.startswith(NATIVE) else error.body()
    return JSONResponse(body, error.status, error.headers())
