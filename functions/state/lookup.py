"""Finding what is stored: for its owner, or 404 in OpenAI's words; 503 when it cannot be read."""

from collections.abc import Iterator
from contextlib import contextmanager

from functions.services import Services
from shared.errors import NotFound, ServiceUnavailable
from shared.limits import Tenant
from shared.redis import UNREACHABLE
from shared.state.record import StoredResponse


@contextmanager
def reachable() -> Iterator[None]:
    """Raises ServiceUnavailable for a Redis that is not."""
    try:
        yield
    except UNREACHABLE:
        raise ServiceUnavailable("what is stored cannot be reached; try again", retry_after_s=2) from None


async def response_of(services: Services, tenant: Tenant, id: str, *, context: bool = False) -> StoredResponse:
    """A response of the tenant's, with its context if asked for. Raises NotFound or ServiceUnavailable."""
    with reachable():
        read = services.responses.get if context else services.responses.look
        record = await read(tenant.owner, id)
    if record is None:
        raise unknown_response(id)
    return record


def unknown_response(id: str) -> NotFound:
    return NotFound(f"Response with id '{id[:64]}' not found.")


def unknown_conversation(id: str, param: str | None = None) -> NotFound:
    return NotFound(f"Conversation with id '{id[:64]}' not found.", param=param)


def unknown_item(id: str) -> NotFound:
    return NotFound(f"Item with id '{id[:64]}' not found.")
