"""Where stored things are. One name serves as key of the object store and, under a prefix, of Redis.

responses/{owner}/{response id}          conversations/{owner}/{conversation id}
"""

import re
from typing import Final

_RESPONSE: Final = re.compile(r"resp_[0-9a-f]{32}\Z")
_CONVERSATION: Final = re.compile(r"conv_[0-9a-f]{32}\Z")

RESPONSES: Final = "responses/"
CONVERSATIONS: Final = "conversations/"


def response(owner: str, id: str) -> str | None:
    """The place of a response; None for an id that is none of ours, so that nobody else's words become a key."""
    return f"{RESPONSES}{owner}/{id}" if _RESPONSE.match(id) else None


def conversation(owner: str, id: str) -> str | None:
    """The place of a conversation; None for an id that is none of ours."""
    return f"{CONVERSATIONS}{owner}/{id}" if _CONVERSATION.match(id) else None
