"""Rows of numbers between the worker's frames and the answer."""

import base64
import math
import struct

import pytest

from functions.inference.vectors import Rows
from shared.errors import EngineFailed, InvalidRequest
from shared.frames import Vectors


def vectors(first: int, *rows: list[float]) -> Vectors:
    data = b"".join(struct.pack(f"<{len(row)}f", *row) for row in rows)
    return Vectors(first, len(rows), base64.b64encode(data).decode())


def test_rows_come_out_in_the_order_of_the_inputs() -> None:
    rows = Rows(None)
    rows.add(vectors(1, [0.5, 0.25], [4, 5]))
    rows.add(vectors(0, [1, 0]))
    data = rows.data(3, as_base64=False)
    assert [each["embedding"] for each in data] == [[1, 0], [0.5, 0.25], [4, 5]]
    assert [each["index"] for each in data] == [0, 1, 2]


def test_base64_is_the_row_as_it_came() -> None:
    rows = Rows(None)
    rows.add(vectors(0, [0.1, -0.2]))
    assert rows.data(1, as_base64=True)[0]["embedding"] == base64.b64encode(struct.pack("<2f", 0.1, -0.2)).decode()


def test_a_short_row_has_length_one() -> None:
    rows = Rows(2)
    rows.add(vectors(0, [3, 4, 12], [0, 0, 1]))
    first, second = (each["embedding"] for each in rows.data(2, as_base64=False))
    assert first == pytest.approx([0.6, 0.8])
    assert second == [0, 0]  # nothing to scale


def test_the_native_number_of_dimensions_changes_nothing() -> None:
    rows = Rows(2)
    rows.add(vectors(0, [3, 4]))
    assert rows.data(1, as_base64=False)[0]["embedding"] == [3, 4]


def test_more_dimensions_than_the_vectors_have() -> None:
    with pytest.raises(InvalidRequest, match="3 is more than the model's 2") as caught:
        Rows(3).add(vectors(0, [3, 4]))
    assert caught.value.param == "dimensions"


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_refused(bad: float) -> None:
    with pytest.raises(InvalidRequest, match=r"^embedding contains NaN or Inf values$"):
        Rows(None).add(vectors(0, [1, bad]))


def test_a_second_attempt_starts_again() -> None:
    rows = Rows(None)
    rows.add(vectors(0, [1], [2]))
    rows.clear()
    rows.add(vectors(0, [3]))
    assert [each["embedding"] for each in rows.data(1, as_base64=False)] == [[3]]


def test_missing_or_odd_rows_are_the_engines_fault() -> None:
    rows = Rows(None)
    rows.add(vectors(0, [1]))
    with pytest.raises(EngineFailed, match="1 of 2 vectors"):
        rows.data(2, as_base64=False)
    for data in ("", base64.b64encode(b"12345").decode()):
        with pytest.raises(EngineFailed, match="wrong size"):
            rows.add(Vectors(0, 1, data))
