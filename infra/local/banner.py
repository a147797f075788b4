"""The ready line, and what to paste next."""

import json
import shlex


def curl(url: str, model: str) -> str:
    """A streaming chat as one shell command."""
    body = {"model": model, "messages": [{"role": "user", "content": "Say hello."}], "stream": True}
    header = "-H 'Content-Type: application/json'"
    return f"curl -N {url}/v1/chat/completions {header} -d {shlex.quote(json.dumps(body))}"


def banner(url: str, model: str, logs: str) -> str:
    """The text that is printed when the stack answers."""
    return "\n".join(
        (
            "",
            f"Puna is ready at {url} with {model}. Ctrl-C stops it; logs are in {logs}.",
            "",
            f"  {curl(url, model)}",
            "",
            f'  OpenAI(base_url="{url}/v1", api_key="puna")',
            "",
        )
    )
