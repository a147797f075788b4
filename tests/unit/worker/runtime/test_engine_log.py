"""Levels of an engine's log lines, its address, and silence about prompts."""

import logging

import pytest

from worker.runtime.engine_log import read_line, url_in


@pytest.mark.parametrize(
    ("line", "level", "text"),
    [
        ("0.02.158.591 I srv          init: loading", logging.DEBUG, "srv          init: loading"),
        ("0.02.158.591 W srv          init: no key", logging.WARNING, "srv          init: no key"),
        ("12.34.56.789 E srv    load_model: failed", logging.ERROR, "srv    load_model: failed"),
        ("0.02.158.591 D slot x", logging.DEBUG, "slot x"),
        (
            "0.02.178.432 W slot   operator(): id  1 | task 4 | n_past was set to 31",
            logging.DEBUG,
            "slot   operator(): id  1 | task 4 | n_past was set to 31",
        ),
        (
            "0.02.268.580 W srv          stop: cancel task, id_task = 10",
            logging.DEBUG,
            "srv          stop: cancel task, id_task = 10",
        ),
    ],
)
def test_levels(line: str, level: int, text: str) -> None:
    assert read_line(line, listening=True) == (level, text)


def test_lines_without_a_level_are_kept_until_it_listens() -> None:
    assert read_line("system info: …", listening=False) == (logging.INFO, "system info: …")
    assert read_line("Tell me a secret", listening=True) is None


@pytest.mark.parametrize(
    "line",
    [
        "/src/ggml.c:123: GGML_ASSERT(x) failed",
        "CUDA error: out of memory",
        "cannot load x.gguf: Failed to init server",
        "terminate called after throwing an instance of 'std::bad_alloc'",
        "Traceback (most recent call last):",
    ],
)
def test_crashes_are_kept(line: str) -> None:
    assert read_line(line, listening=True) == (logging.ERROR, line)


def test_a_quoted_request_is_cut() -> None:
    line = """0.01.000.000 W srv    operator(): got exception: {"error":{"message":"last read: 'my secret'"}}"""
    entry = read_line(line, listening=True)
    assert entry == (logging.WARNING, "srv    operator(): got exception […]")


@pytest.mark.parametrize(
    ("line", "url"),
    [
        ("0.00.000.001 I srv          init: listening on http://127.0.0.1:42627", "http://127.0.0.1:42627"),
        ("listening on http://127.0.0.1:1/", "http://127.0.0.1:1"),
        ("not listening yet", None),
    ],
)
def test_url(line: str, url: str | None) -> None:
    assert url_in(line) == url
