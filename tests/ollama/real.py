"""The real `ollama` command, where there is one: on the PATH, or at OLLAMA_BIN."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.harness import free_port, serving

BINARY = os.environ.get("OLLAMA_BIN") or shutil.which("ollama")

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
_SPINNER = re.compile(r" *[⠀-⣿] *")


class Ollama:
    """Runs the command against a server. Its home is a folder of the test's."""

    def __init__(self, url: str, home: Path) -> None:
        assert BINARY is not None
        self.environ = {**os.environ, "OLLAMA_HOST": url, "HOME": str(home), "NO_COLOR": "1"}
        self._home = home

    def __call__(self, *words: str, stdin: str = "", code: int = 0) -> str:
        """What it prints, its bars and spinners as text; `code` is how it is to end."""
        done = subprocess.run(
            [str(BINARY), *words],
            env=self.environ,
            cwd=self._home,
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
        said = _SPINNER.sub("", _ESCAPES.sub("", done.stdout))
        assert done.returncode == code, said
        return said


@contextmanager
def served(models: Path, home: Path) -> Iterator[str]:
    """`host:port` of a real server with models of its own."""
    host = f"127.0.0.1:{free_port()}"
    environ = Ollama(host, home).environ | {"OLLAMA_MODELS": str(models)}
    with serving([str(BINARY), "serve"], f"http://{host}/", home / "serve.log", timeout_s=30, **environ):
        yield host
