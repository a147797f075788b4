"""From a checked request for a response to its job and its head."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from fastapi import Request

from functions.inference.prepare import Ask, Prepared, prepare_with_images
from functions.services import Services
from shared.errors import InvalidRequest, PunaError
from shared.limits import Tenant
from shared.responses.context import Placed, conversation
from shared.responses.failure import in_its_terms
from shared.responses.head import Head
from shared.responses.ids import response_id
from shared.responses.seal import SETTING, Seal
from shared.schema.features import features_of
from shared.schema.response_options import ENCRYPTED
from shared.schema.responses import ResponseRequest


class ResponseJob(NamedTuple):
    """A response that can be queued. `places` say where in the request the content of each message is; `seal` is None
    without a key."""

    job: Prepared
    head: Head
    places: list[str]
    seal: Seal | None


async def response_job(
    http: Request,
    services: Services,
    tenant: Tenant,
    asked: ResponseRequest,
    items: Sequence[Placed],
    kind: str = "chat",
) -> ResponseJob:
    """`items` are the whole conversation, without references. Raises what `prepare_with_images` does, in the terms of
    the request."""
    seal = _seal(services, tenant, asked)
    messages, places = conversation(items, asked.instructions, None if seal is None else seal.open)
    with blaming(places):
        plain = asked.engine_request(messages)
        ask = Ask(
            kind,
            asked.model,
            plain,
            stream=asked.stream,
            user=asked.user,
            features=features_of(plain, "reasoning.effort"),
        )
        job = await prepare_with_images(http, services, tenant, ask)
    return ResponseJob(job, _head(job, tenant, asked), places, seal)


@contextmanager
def blaming(places: Sequence[str]) -> Iterator[None]:
    """Errors of a chat, in the terms of a response."""
    try:
        yield
    except PunaError as error:
        in_its_terms(error, places)
        raise


def _seal(services: Services, tenant: Tenant, asked: ResponseRequest) -> Seal | None:
    seal = Seal.of(services.settings.state_key, tenant.owner)
    if seal is None and ENCRYPTED in asked.included:
        raise InvalidRequest(f"'{ENCRYPTED}' cannot be included: the server has no '{SETTING}'.", param="include")
    return seal


def _head(job: Prepared, tenant: Tenant, asked: ResponseRequest) -> Head:
    """What is sampled with is said as far as it is known: the request's, or the Modelfile's."""
    spec, request = job.spec, job.spec.request
    return Head(
        id=response_id(spec.id),
        created_at=int(spec.created),
        model=spec.model,
        owner=tenant.owner,
        temperature=request.get("temperature"),
        top_p=request.get("top_p"),
        presence_penalty=request.get("presence_penalty", 0.0),
        frequency_penalty=request.get("frequency_penalty", 0.0),
        **asked.echo(),
    )
