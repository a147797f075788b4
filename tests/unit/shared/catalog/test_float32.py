"""Decimals of 32-bit numbers."""

import math
import random
import struct

import pytest

from shared.catalog.float32 import shortest


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.699999988079071, "0.7"),
        (9.999999747378752e-06, "1e-05"),
        (100000.0, "100000.0"),
        (-0.0, "-0.0"),
        (16777217.0, "16777216.0"),
        (1e-45, "1e-45"),
        (3.4028234663852886e38, "3.4028235e+38"),
    ],
)
def test_the_shortest(value: float, shown: str) -> None:
    assert repr(shortest(value)) == shown


def test_it_means_the_same() -> None:
    draw = random.Random(1)
    for _ in range(2000):
        packed = draw.randbytes(4)
        (value,) = struct.unpack("<f", packed)
        if math.isfinite(value):
            assert struct.pack("<f", shortest(value)) == packed


def test_what_is_no_number() -> None:
    assert math.isinf(shortest(math.inf))
    assert math.isnan(shortest(math.nan))
    with pytest.raises(OverflowError):
        shortest(1e39)
