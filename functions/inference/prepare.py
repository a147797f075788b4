"""From a checked body to a job: the model, what it can do, its defaults. The same for every endpoint that generates."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from fastapi import Request

from functions.inference.defaults import kept_s, with_defaults, with_words
from functions.services import Services
from shared.catalog.catalog import CatalogModel
from shared.constrain.answer import constrained
from shared.errors import InvalidRequest, UnsupportedParameter
from shared.ids import new_id
from shared.images.gather import gather
from shared.images.limits import Limits
from shared.job import JobSpec
from shared.limits import Tenant

_VERBS = {"chat": "chat", "count": "chat", "completion": "generate"}
"""What a model that cannot is said not to support, by the job's kind; Ollama's words."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What an endpoint wants done. `model` is the name as the caller wrote it, `request` what JobSpec's is.

    `features` are the capabilities that the request needs besides generating (`tools`, `vision`, `thinking`,
    `insert`), each with the field that asks for it.
    """

    kind: str
    model: str
    request: dict[str, Any] = field(repr=False)
    stream: bool = False
    user: str | None = None
    features: Mapping[str, str] = field(default_factory=dict)


class Prepared(NamedTuple):
    """A job, and the bytes of the images that it refers to, for `generation` to leave in Redis."""

    spec: JobSpec
    blobs: dict[str, bytes]


async def prepare(http: Request, services: Services, tenant: Tenant, ask: Ask) -> JobSpec:
    """The job of a request that can have no images. Raises what `prepare_with_images` does."""
    return (await prepare_with_images(http, services, tenant, ask)).spec


async def prepare_with_images(http: Request, services: Services, tenant: Tenant, ask: Ask) -> Prepared:
    """The job, ready to be queued, with its images fetched and checked.

    Raises InvalidRequest (ImageRefused for an image), UnsupportedParameter, ModelNotFound, InvalidManifest or
    ServiceUnavailable.
    """
    model = await services.catalog.resolve(ask.model)
    check_capabilities(model, ask)
    request = within_context(ask.request, model.context(services.settings.context))
    blobs: dict[str, bytes] = {}
    if "vision" in ask.features:
        messages, blobs = await gather(request["messages"], Limits.of(services.settings))
        request = {**request, "messages": messages}
    request = with_words(with_defaults(request, model.defaults), model)
    return Prepared(job_of(http, services, model, tenant, replace(ask, request=request)), blobs)


def job_of(http: Request, services: Services, model: CatalogModel, tenant: Tenant, ask: Ask) -> JobSpec:
    """What is asked, as a job for a model, to be done by the deadline that the settings give."""
    created = time.time()
    request = dict(ask.request)
    asked_s = request.pop("keep_alive", None)
    return JobSpec(
        id=new_id(),
        queue=model.queue,
        model=ask.model,
        kind=ask.kind,
        request=request,
        created=created,
        deadline=created + services.settings.request_timeout_s,
        stream=ask.stream,
        tenant=tenant.id,
        user=ask.user,
        request_id=http.scope["puna.request_id"],
        traceparent=http.headers.get("traceparent"),
        keep_alive=kept_s(model) if asked_s is None else asked_s,
    )


def check_generates(model: CatalogModel, name: str, verb: str) -> None:
    """Raises InvalidRequest for a model that only embeds, by the name that the caller used and what was wanted."""
    if "completion" not in model.capabilities:
        raise InvalidRequest(f'"{name}" does not support {verb}', param="model")


def check_capabilities(model: CatalogModel, ask: Ask) -> None:
    """Raises InvalidRequest when the model cannot generate, UnsupportedParameter when it lacks a feature."""
    check_generates(model, ask.model, _VERBS[ask.kind])
    can = model.capabilities
    name = model.name
    full = f"{name.host}/{name.namespace}/{name.model}:{name.tag}"
    for feature, param in ask.features.items():
        if feature not in can:
            who = f'"{ask.model}"' if feature == "thinking" else full
            raise UnsupportedParameter(f"{who} does not support {feature}", param=param)
    _check_guided(model, ask)


def _check_guided(model: CatalogModel, ask: Ask) -> None:
    """A grammar for llguidance holds from the first token: there is no room for a thought before the answer."""
    if ask.kind != "chat" or "thinking" not in model.capabilities or ask.request.get("reasoning_effort") == "none":
        return
    found = constrained(ask.request)
    if found is not None and found.guided:
        raise UnsupportedParameter(
            "Bounds of numbers, 'multipleOf', and lengths beside a 'pattern' need 'reasoning_effort' of 'none' with "
            "a model that thinks.",
            param="response_format",
        )


def within_context(request: dict[str, Any], context: int) -> dict[str, Any]:
    """The request without `num_ctx`, which fits the context (tokens) that the model is loaded with, or is refused."""
    options = dict(request.get("options", {}))
    asked = options.pop("num_ctx", None)
    if asked is None:
        return request
    if asked > context:
        raise InvalidRequest(
            f"Invalid value for 'options.num_ctx': {asked} is more than the context of {context} tokens, "
            "which is fixed when the model is loaded; a model created with 'PARAMETER num_ctx' has its own.",
            param="options.num_ctx",
        )
    rest = {name: value for name, value in request.items() if name != "options"}
    return {**rest, "options": options} if options else rest
