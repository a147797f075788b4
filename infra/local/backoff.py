"""How long to wait before a child that died is started again."""

from dataclasses import dataclass

FIRST_S = 0.5
LONGEST_S = 30.0
HEALTHY_S = 60.0
"""A child that lived this long (s) was well: its next death is a new story and starts from `FIRST_S`."""


@dataclass(slots=True)
class Backoff:
    """Pauses that double from `first_s` to `longest_s` (s) while a child keeps dying young."""

    first_s: float = FIRST_S
    longest_s: float = LONGEST_S
    healthy_s: float = HEALTHY_S
    deaths: int = 0

    def next(self, up_s: float) -> float:
        """The pause (s) after a death, for a child that had been up for `up_s` seconds."""
        if up_s >= self.healthy_s:
            self.deaths = 0
        # Past 2**16 the limit rules anyway, and the power stays a small number.
        pause = min(self.longest_s, self.first_s * 2.0 ** min(self.deaths, 16))
        self.deaths += 1
        return pause
