"""A command on a terminal of its own: what it shows there, and keys pressed."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

_ON_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)
"""Takes the terminal that standard input is for its own, so that Ctrl-C reaches it, and becomes the command."""


_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


class Terminal:
    """Runs a command of this Python on a terminal of 100 columns. `text` is all that it has shown so far, without
    colours and cursor movements."""

    def __init__(self, words: Sequence[str], environ: Mapping[str, str]) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
        self._process = subprocess.Popen(
            [sys.executable, "-c", _ON_TERMINAL, sys.executable, *words],
            env={**os.environ, "TERM": "xterm-256color", **environ},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self._written = b""
        self.text = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        os.close(self._master)

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def read_until(self, seen: Callable[[str], bool]) -> str:
        """Read on until the text is as hoped for. Fails with all of it when the command ends before."""
        while not seen(self.text):
            assert self._read(), self.text[-2000:]
        return self.text

    def wait(self) -> int:
        """Read to the end; its exit code, negative for a signal."""
        while self._read():
            pass
        return self._process.wait()

    def _read(self) -> bool:
        try:
            data = os.read(self._master, 1 << 16)
        except OSError:  # Linux: nobody has the other end any more
            return False
        self._written += data
        self.text = _ESCAPES.sub("", self._written.decode("utf-8", "replace"))
        return bool(data)
