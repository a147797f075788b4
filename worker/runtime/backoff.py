"""How long to wait before an engine is started again."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Backoff:
    """Pauses in seconds: `first`, doubled each time up to `longest`; `reset` healthy seconds start over."""

    first: float = 0.5
    longest: float = 30.0
    reset: float = 60.0
    _failures: int = field(default=0, init=False)

    def pause(self, healthy_s: float) -> float:
        """The pause after a run that was healthy for `healthy_s` seconds."""
        if healthy_s >= self.reset:
            self._failures = 0
        pause = min(self.first * 2.0**self._failures, self.longest)
        if pause < self.longest:  # no further counting: 2.0**1100 overflows
            self._failures += 1
        return pause
