"""`puna run`: a chat in the terminal."""

import sys
from collections.abc import Iterator
from contextlib import suppress

from rich.console import Console

from infra.cli.client import Status, Text, chat
from infra.cli.place import CommandError, api_url
from shared.settings import settings

PROMPT = ">>> "
LEAVE = "/bye"
HINT = "Ctrl-C stops an answer, /bye or Ctrl-D leaves."

Messages = list[dict[str, str]]


def run(model: str, prompt: str) -> None:
    """One answer for a prompt or for what is piped in, a conversation otherwise. Raises CommandError."""
    url = api_url(settings())
    if not prompt and not sys.stdin.isatty():
        prompt = sys.stdin.read().strip()
        if not prompt:
            raise CommandError("there is no prompt: standard input is empty.")
    if prompt:
        _one_shot(url, model, prompt)
    else:
        _conversation(url, model)


def _one_shot(url: str, model: str, prompt: str) -> None:
    try:
        show(chat(url, model, [{"role": "user", "content": prompt}]), [])
    except KeyboardInterrupt:
        sys.exit(130)


def _conversation(url: str, model: str) -> None:
    with suppress(ImportError):
        import readline  # noqa: F401 gives input() its editing and history
    print(HINT)
    messages: Messages = []
    while True:
        try:
            text = input(PROMPT).strip()
        except EOFError:
            print()
            return
        except KeyboardInterrupt:
            print(f"\n{HINT}")
            continue
        if text == LEAVE:
            return
        if text:
            _turn(url, model, messages, text)


def _turn(url: str, model: str, messages: Messages, text: str) -> None:
    """Ask, and keep question and answer; of a stopped answer what has been shown, of a failed one neither."""
    parts: list[str] = []
    question = {"role": "user", "content": text}
    try:
        show(chat(url, model, [*messages, question]), parts)
    except KeyboardInterrupt:
        print()
    except CommandError as error:
        print(f"puna: {error.message}", file=sys.stderr)
        return
    messages += [question, {"role": "assistant", "content": "".join(parts)}]


def show(answer: Iterator[Text | Status], parts: list[str]) -> None:
    """Print an answer as it comes, and put its pieces in `parts`; until it begins, show what it waits for."""
    status = Console(stderr=True).status("connecting")
    status.start()
    try:
        for event in answer:
            if isinstance(event, Status):
                status.update(event.text)
                continue
            status.stop()
            parts.append(event.text)
            sys.stdout.write(event.text)
            sys.stdout.flush()
    finally:
        status.stop()
    print()
