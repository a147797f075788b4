"""What the product promises, and whether a run kept it. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Results = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Target:
    """A bound on one number of the results: at most, or at least, `bound`."""

    name: str
    bound: float
    unit: str
    part: str
    measured: Callable[[Results], float]
    at_least: bool = False

    def met(self, value: float) -> bool:
        return value >= self.bound if self.at_least else value <= self.bound


def _streams(results: Results, streams: int) -> Any:
    return next(row for row in results["real"]["streams"] if row["streams"] == streams)


def _relay_cpu(results: Results) -> float:
    cpu = results["fake"]["tokens"]["cpu_us"]
    return float(cpu["api"] + cpu["worker"])


TARGETS = (
    Target("added TTFT p50, 1 stream", 10, "ms", "real", lambda found: _streams(found, 1)["added_ttft_ms"]["p50"]),
    Target("added TTFT p99, 1 stream", 25, "ms", "real", lambda found: _streams(found, 1)["added_ttft_ms"]["p99"]),
    Target(
        "tokens/s through the API to the engine's own, 4 streams",
        0.95,
        "",
        "real",
        lambda found: _streams(found, 4)["tokens_per_s_ratio"]["paired"]["p50"],
        at_least=True,
    ),
    Target(
        "sentences/s through the API to the engine's own, batches of 64",
        0.9,
        "",
        "embeddings",
        lambda found: min(row["ratio"]["p50"] for row in found["embeddings"]["formats"]),
        at_least=True,
    ),
    Target("CPU of API + worker per token relayed, 8 streams, fake engine", 150, "µs", "fake", _relay_cpu),
)


def judge(results: Results) -> list[dict[str, Any]]:
    """The targets of the parts that were measured, each with its number and whether it is met."""
    rows = []
    for target in TARGETS:
        if target.part in results:
            value = target.measured(results)
            rows.append(
                {
                    "name": target.name,
                    "bound": target.bound,
                    "at_least": target.at_least,
                    "unit": target.unit,
                    "measured": value,
                    "met": target.met(value),
                }
            )
    return rows
