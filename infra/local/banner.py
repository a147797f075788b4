"""The ready line, and what to paste next."""

import json
import shlex
from collections.abc import Sequence

from shared.settings import ANY


def curl(url: str, model: str) -> str:
    """A streaming chat as one shell command."""
    body = {"model": model, "messages": [{"role": "user", "content": "Say hello."}], "stream": True}
    header = "-H 'Content-Type: application/json'"
    return f"curl -N {url}/v1/chat/completions {header} -d {shlex.quote(json.dumps(body))}"


def banner(url: str, models: Sequence[str], logs: str) -> str:
    """The text that is printed when the stack answers; the first model that is named is the one to chat with."""
    named = [name for name in models if name != ANY]
    served = ", ".join(named)
    if ANY in models:
        served += " and any other model of the catalog" if named else "any model of the catalog"
    return "\n".join(
        (
            "",
            f"Puna is ready at {url} with {served}. Ctrl-C stops it; logs are in {logs}.",
            "",
            f"  {curl(url, next(iter(named), 'MODEL'))}",
            "",
            f'  OpenAI(base_url="{url}/v1", api_key="puna")',
            "",
        )
    )
