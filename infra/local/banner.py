"""The ready line, and what to paste next."""

import json
import shlex
from collections.abc import Sequence


def curl(url: str, model: str) -> str:
    """A streaming chat as one shell command."""
    body = {"model": model, "messages": [{"role": "user", "content": "Say hello."}], "stream": True}
    header = "-H 'Content-Type: application/json'"
    return f"curl -N {url}/v1/chat/completions {header} -d {shlex.quote(json.dumps(body))}"


def banner(url: str, models: Sequence[str], logs: str) -> str:
    """The text that is printed when the stack answers; the first model is the one to chat with."""
    return "\n".join(
        (
            "",
            f"Puna is ready at {url} with {', '.join(models)}. Ctrl-C stops it; logs are in {logs}.",
            "",
            f"  {curl(url, models[0])}",
            "",
            f'  OpenAI(base_url="{url}/v1", api_key="puna")',
            "",
        )
    )
