"""Numbers of 32 bits as decimals: the shortest one that means the same, as Go writes them."""

import struct
from typing import Final

_WHOLE: Final = float(1 << 24)
"""Integers below this are their own shortest decimals."""

_NORMAL: Final = 2.0**-126
"""From here on, up to 6 digits always survive the way through 32 bits: no fewer need be tried."""


def shortest(value: float) -> float:
    """0.7 for 0.699999988079071, which is what 32 bits make of 0.7. Infinities and NaN stay as they are.

    Raises OverflowError for what 32 bits cannot hold.
    """
    packed = struct.pack("<f", value)
    (exact,) = struct.unpack("<f", packed)
    if exact - exact != 0 or (abs(exact) < _WHOLE and exact == int(exact)):
        return float(exact)
    few = 6 if abs(exact) >= _NORMAL else 1
    # 9 digits always tell one number from another.
    return next(near for digits in range(few, 10) if struct.pack("<f", near := float(f"{exact:.{digits}g}")) == packed)
