"""Every error a client can meet, with its HTTP status, OpenAI `type` and `code`, and whether a retry helps.

    PunaError
    ├── InvalidRequest (400)         the body is wrong; `param` names the field
    │   ├── UnsupportedParameter     a field of the OpenAI API that is not built yet
    │   ├── ContextLengthExceeded
    │   └── PayloadTooLarge (413)
    ├── AuthenticationError (401)
    ├── NotFound (404)
    │   └── ModelNotFound
    ├── QueueFull (429)              retry after the seconds given
    ├── ModelUnavailable (503)       no worker serves the model
    ├── ServiceUnavailable (503)     Redis or the catalog cannot be reached
    ├── DeadlineExceeded (504)
    ├── EngineFailed (502)           the engine crashed, went silent or answered nonsense
    ├── JobLost (500)                the worker died after the answer had begun
    └── Cancelled (499)

Shape: OpenAI API reference, "Error codes": `{"error": {"message", "type", "param", "code"}}`.
"""

from typing import Any, ClassVar


class PunaError(Exception):
    """Base: everything a handler translates into an answer. A subclass fixes status, type and code."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "api_error"
    default_code: ClassVar[str | None] = "internal_error"

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code or self.default_code
        self.retry_after_s = retry_after_s

    def body(self) -> dict[str, Any]:
        """The OpenAI error object, as the whole body of an answer or the data of a stream event."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}

    def headers(self) -> dict[str, str]:
        """Headers that go with the status: `Retry-After` in whole seconds where a retry helps."""
        return {} if self.retry_after_s is None else {"retry-after": str(self.retry_after_s)}


class InvalidRequest(PunaError):
    status = 400
    type = "invalid_request_error"
    default_code: ClassVar[str | None] = None


class UnsupportedParameter(InvalidRequest):
    default_code = "unsupported_parameter"


class ContextLengthExceeded(InvalidRequest):
    default_code = "context_length_exceeded"


class PayloadTooLarge(InvalidRequest):
    status = 413
    default_code = "payload_too_large"


class AuthenticationError(PunaError):
    status = 401
    type = "authentication_error"
    default_code = "invalid_api_key"


class NotFound(PunaError):
    status = 404
    type = "not_found_error"
    default_code = "not_found"


class ModelNotFound(NotFound):
    default_code = "model_not_found"


class MethodNotAllowed(PunaError):
    status = 405
    type = "invalid_request_error"
    default_code = "method_not_allowed"


class QueueFull(PunaError):
    status = 429
    type = "rate_limit_error"
    default_code = "queue_full"


class ModelUnavailable(PunaError):
    status = 503
    default_code = "model_unavailable"


class ServiceUnavailable(PunaError):
    status = 503
    default_code = "service_unavailable"


class DeadlineExceeded(PunaError):
    status = 504
    default_code = "deadline_exceeded"


class EngineFailed(PunaError):
    status = 502
    default_code = "engine_failed"


class JobLost(PunaError):
    status = 500
    default_code = "job_lost"


class Cancelled(PunaError):
    status = 499
    default_code = "cancelled"


def _all(base: type[PunaError]) -> list[type[PunaError]]:
    return [base, *(leaf for child in base.__subclasses__() for leaf in _all(child))]


BY_CODE: dict[str, type[PunaError]] = {c.default_code: c for c in _all(PunaError) if c.default_code}
"""Errors by their code: how a failure that crossed Redis becomes an exception again."""


def from_code(code: str | None, message: str, param: str | None = None) -> PunaError:
    """The exception for a code that a worker put in a frame; an unknown code is an internal error."""
    kind = BY_CODE.get(code or "", InvalidRequest if code == "invalid_request" else PunaError)
    return kind(message, param=param)
