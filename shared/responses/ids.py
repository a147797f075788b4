"""Ids of responses and of their output items. An item's id says where it is from, so that nothing must be looked up.

resp_<job id>                              a response
msg_<job id><index>, rs_…, fc_…            the output item at `index`, four hex digits
"""

import re
from dataclasses import dataclass
from typing import Final

RESPONSE: Final = "resp_"

_ITEM: Final = re.compile(r"(?:msg|rs|fc)_([0-9a-f]{32})([0-9a-f]{4})\Z")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an output item is from."""

    response_id: str
    index: int


def response_id(job_id: str) -> str:
    return RESPONSE + job_id


def job_id(response: str) -> str:
    """The job that made a response."""
    return response.removeprefix(RESPONSE)


def item_id(prefix: str, response: str, index: int) -> str:
    """The id of an output item; `prefix` is `msg`, `rs` or `fc`."""
    return f"{prefix}_{job_id(response)}{index:04x}"


def origin(item: str) -> Origin | None:
    """Where an output item is from; None for an id that is not one of ours."""
    found = _ITEM.match(item)
    return Origin(response_id(found[1]), int(found[2], 16)) if found else None
