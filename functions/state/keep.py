"""What is kept of a response, decided before its job is queued."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from functions.inference.response_job import ResponseJob
from functions.services import Services
from functions.state.turn import Turn, with_ids
from shared.job import JobSpec
from shared.state.record import StoredResponse


class Kept(NamedTuple):
    """The job as the worker needs it to keep what it generates; `also` adds what is kept to its submit."""

    spec: JobSpec
    record: StoredResponse
    also: Callable[[Any], None]


def kept(services: Services, asked: ResponseJob, turn: Turn) -> Kept:
    """A response in the background has a deadline of its own: nobody waits at the other end of a connection."""
    head, spec = asked.head, asked.job.spec
    if head.background:
        spec = replace(spec, deadline=spec.created + services.settings.background_timeout_s)
    own = with_ids(turn.own, head.id)
    if head.store or head.conversation is not None:
        spec = replace(spec, response=head.encode(), brought=own if head.conversation is not None else None)
    record = StoredResponse(head, spec.queue, spec.stream, spec.deadline, turn.prior, own)

    def also(pipe: Any) -> None:
        if head.store:
            services.responses.open(pipe, record)
        if head.conversation is not None:
            services.conversations.hold(pipe, head.owner, head.conversation, spec.deadline - spec.created)

    return Kept(spec, record, also)
