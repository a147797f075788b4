"""The engine's refusals in the words of a completion."""

import re
from typing import Final

from shared.errors import ContextLengthExceeded

_CONTEXT: Final = re.compile(r"context length is (\d+)")


def about_prompt(error: ContextLengthExceeded, tokens: int) -> ContextLengthExceeded:
    """A refusal of too long a text, which has this many tokens, with both numbers and the field's name."""
    found = _CONTEXT.search(error.message)
    if found is None:
        return ContextLengthExceeded(error.message, param="prompt")
    return ContextLengthExceeded(
        f"This model's maximum context length is {found[1]} tokens. However, your prompt has {tokens} tokens. "
        "Please reduce the length of the prompt.",
        param="prompt",
    )
