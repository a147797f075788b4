"""`run/stack.json`: what runs on a home, for other commands and for the start after a crash."""

from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import orjson


@dataclass(frozen=True, slots=True)
class StackRecord:
    """One running stack. `pid` is the supervisor; `pids` has its children by name.

    `born` has the children's birth marks (see `process.born`), so that a number used again is never taken for
    ours. `started` is Unix seconds.
    """

    pid: int
    url: str
    redis_url: str
    started: float
    pids: dict[str, int] = field(default_factory=dict)
    born: dict[str, str] = field(default_factory=dict)

    def encode(self) -> bytes:
        return orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2)

    @classmethod
    def decode(cls, data: bytes) -> "StackRecord":
        """Raises ValueError or TypeError when the text is not a record of this version."""
        return cls(**orjson.loads(data))


def read(path: Path) -> StackRecord | None:
    """The record at `path`; None where there is none that can be read."""
    try:
        return StackRecord.decode(path.read_bytes())
    except (OSError, ValueError, TypeError):
        return None


def write(path: Path, record: StackRecord) -> None:
    """Replace the record in one step. For the owner only: an external Redis URL can hold a password."""
    temporary = path.with_suffix(".tmp")
    temporary.touch(mode=0o600)
    temporary.write_bytes(record.encode())
    temporary.replace(path)


def remove(path: Path) -> None:
    with suppress(FileNotFoundError):
        path.unlink()
