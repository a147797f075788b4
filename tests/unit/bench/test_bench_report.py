"""Targets, tables and prompts."""

from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from tests.bench import context, real, report, targets
from tests.bench.client import Answer, Round
from tests.bench.real import Pair, Stage


def answers(count: int, ttft_s: float) -> list[Answer]:
    return [Answer(1.0, 11, 20, 5, ttft_s, [0.1] * 10) for _ in range(count)]


def pair(streams: int, ttft_s: float, took_s: float) -> Pair:
    cpu_s = {"api": 11e-5 * streams, "worker": 22e-5 * streams}
    api = Round(took_s, answers(streams, ttft_s), cpu_s)
    return Pair(api, Round(1.0, answers(streams, 0.2), cpu_s))


def row(streams: int, *, ttft_s: float = 0.208, took_s: float = 1.25) -> dict[str, Any]:
    return real.result(Stage(streams, 11, 0, 1), [pair(streams, ttft_s, took_s)] * 3, [])


def window(api: float) -> dict[str, Any]:
    cpu = {"api": api, "worker": 60.0, "valkey": 3.0, "engine": 5.0, "client": 4.0}
    return {"per_s": {"p50": 1e5}, "cpu_us": cpu, "took_ms": {"p50": 1.0, "p99": 2.0}, "tokens_per_event": 2.0}


def results(*, api: float = 80.0) -> dict[str, Any]:
    found = {
        "context": {**context.gather(), "load_end": 0.5},
        "real": {"model": "m.gguf", "slots": 4, "streams": [row(1), row(4), row(8)]},
        "fake": {
            "streams": 8,
            "requests": {"whole": window(1.0), "stream": window(1.0)},
            "tokens": {"max_tokens": 4000, **window(api)},
        },
    }
    return {**found, "targets": targets.judge(found)}


def test_a_stage_in_numbers() -> None:
    found = row(4)
    assert found["added_ttft_ms"]["p50"] == pytest.approx(8)
    assert found["added_ttft_ms"]["paired"] == {"n": 0}
    assert found["tokens_per_s_ratio"]["paired"]["p50"] == pytest.approx(0.8)
    assert found["cpu_us_per_token"] == pytest.approx({"api": 10, "worker": 20})
    assert found["api"]["tokens_per_event"] == 1


def test_more_first_tokens_count_for_nothing_else() -> None:
    found = real.result(Stage(1, 11, 0, 1), [pair(1, 0.21, 1.0)], [pair(1, 0.25, 9.0)])
    assert found["added_ttft_ms"]["paired"]["n"] == 2
    assert found["added_ttft_ms"]["paired"]["max"] == pytest.approx(50)
    assert found["tokens_per_s_ratio"]["paired"]["max"] == 1
    assert found["api"]["requests"] == 1


def test_targets_are_met_or_missed() -> None:
    assert [target["met"] for target in targets.judge(results())] == [True, True, False, True]
    assert [target["met"] for target in targets.judge(results(api=91))] == [True, True, False, False]


def test_a_part_that_was_not_measured_has_no_targets() -> None:
    assert [target["name"][:3] for target in targets.judge({"fake": results()["fake"]})] == ["CPU"]


def test_the_tables_show_every_figure_whole() -> None:
    out = StringIO()
    report.show(Console(file=out, width=report.WIDTH), results())
    text = out.getvalue()
    for words in ("8.00 / 8.00", "0.800", "≤ 150 µs", "140 µs", "met", "missed", "Python 3."):
        assert words in text
    assert "…" not in text


def test_a_busy_machine_is_told() -> None:
    quiet = {"cores": 4, "load_start": 0.3, "load_end": 3.9}
    assert context.warnings(quiet) == []
    assert len(context.warnings({**quiet, "load_start": 2.5, "load_end": 4.5})) == 2


def test_no_two_prompts_are_the_same_and_all_are_as_long() -> None:
    chosen = real.numbers()
    prompts = [real.body(next(chosen), 4)["messages"][0]["content"] for _ in range(2000)]
    assert len(set(prompts)) == 2000
    assert len({len(prompt) for prompt in prompts}) == 1
