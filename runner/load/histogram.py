"""Log buckets: a quantile within 0.1 % of the exact one, merged and subtracted exactly.

Bucket i > 0 holds values in (SMALLEST * G**(i-1), SMALLEST * G**i] with G = (1 + a) / (1 - a); its
representative, 2 G**i / (G + 1) * SMALLEST, is within a of every value in it (the DDSketch mapping:
Masson, Rim, Lee, VLDB 2019). Bucket 0 holds everything up to SMALLEST.
"""

from __future__ import annotations

import math

ACCURACY = 0.0009  # a: a tenth of reserve below the 0.1 % that is promised
GROWTH = (1 + ACCURACY) / (1 - ACCURACY)
SMALLEST = 1e-6  # seconds
LARGEST_BUCKET = 0xFFFF

_PER_LOG = 1.0 / math.log(GROWTH)
_OFFSET = -math.log(SMALLEST) * _PER_LOG
_REPRESENTATIVE = 2 * SMALLEST / (GROWTH + 1)


def bucket(seconds: float) -> int:
    """Number the bucket of a value in seconds."""
    if seconds <= SMALLEST:
        return 0
    return min(LARGEST_BUCKET, math.ceil(math.log(seconds) * _PER_LOG + _OFFSET))


def value(number: int) -> float:
    """Give the representative of a bucket, in seconds."""
    return SMALLEST if number == 0 else _REPRESENTATIVE * GROWTH**number


def quantile(counts: dict[int, int], q: float) -> float | None:
    """Order statistic ceil(q n) of the counted values, in seconds; None of nothing."""
    total = sum(counts.values())
    if total == 0:
        return None
    rank, seen = max(1, math.ceil(q * total - 1e-9)), 0
    for number in sorted(counts):
        seen += counts[number]
        if seen >= rank:
            return value(number)
    raise AssertionError("counts do not add up")
