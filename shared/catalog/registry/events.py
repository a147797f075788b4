"""What a pull or push tells while it runs: Ollama's lines."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Progress:
    """One line. `digest` is empty unless it is about a blob; then `total` and `completed` are its bytes."""

    status: str
    digest: str = ""
    total: int = 0
    completed: int = 0

    @classmethod
    def of(cls, verb: str, digest: str, total: int, completed: int) -> "Progress":
        """`pulling` or `pushing` a blob, named by 12 hex digits."""
        return cls(f"{verb} {digest[7:19]}", digest, total, completed)

    def line(self) -> dict[str, Any]:
        """As `/api/pull` and `/api/push` send it."""
        if not self.digest:
            return {"status": self.status}
        counts = {"digest": self.digest, "total": self.total}
        return {"status": self.status, **counts, **({"completed": self.completed} if self.completed else {})}


Tell: TypeAlias = Callable[[Progress], None]


def unheard(_: Progress) -> None:
    """Nobody listens."""
