"""An error as an answer: OpenAI's object, Ollama's one word of it under `/api/`, a registry's list under `/v2/`."""

from typing import Any, Final

from fastapi.responses import JSONResponse, Response

from shared.errors import PunaError

NATIVE: Final = "/api/"
"""Routes under this speak Ollama's own protocol."""


REGISTRY: Final = "/v2/"
"""Routes under this speak OCI's distribution protocol."""

_OCI_CODES: Final = {
    401: "UNAUTHORIZED",
    403: "DENIED",
    404: "NAME_UNKNOWN",
    405: "UNSUPPORTED",
    429: "TOOMANYREQUESTS",
    503: "UNAVAILABLE",
}


def native_body(error: PunaError) -> dict[str, Any]:
    """`{"error": "<message>"}`."""
    return {"error": error.message}


def oci_body(code: str, message: str) -> dict[str, Any]:
    """`{"errors": [{"code", "message"}]}` (OCI distribution specification, "Error Codes")."""
    return {"errors": [{"code": code, "message": message}]}


def refusal(error: PunaError, path: str) -> Response:
    """The answer to a request of a path."""
    if path.startswith(REGISTRY):
        body = oci_body(_OCI_CODES.get(error.status, "UNKNOWN"), error.message)
    else:
        body = native_body(error) if path.startswith(NATIVE) else error.body()
    return JSONResponse(body, error.status, error.headers())
