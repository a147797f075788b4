"""Pauses between two starts."""

from worker.runtime.backoff import Backoff


def test_pauses_double_up_to_the_longest() -> None:
    backoff = Backoff()
    assert [backoff.pause(0) for _ in range(9)] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_a_short_healthy_time_does_not_start_over() -> None:
    backoff = Backoff()
    assert [backoff.pause(s) for s in (0, 59.9, 60, 0)] == [0.5, 1, 0.5, 1]


def test_years_of_failures() -> None:
    backoff = Backoff()
    assert [backoff.pause(0) for _ in range(3000)][-1] == 30
