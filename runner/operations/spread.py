"""How delays are spread, as tables that netem draws from: the same distributions as those of a link of ours. Pure.

netem delays by mean + spread x value / 8192, *value* drawn evenly from a table of 16-bit numbers.
"""

from __future__ import annotations

import math
from statistics import NormalDist

from runner.errors import OperationFailed

SCALE = 8192
SIZE = 4096
MOST = 32767
REACH = {"normal": 3.9, "exponential": 10.0, "pareto": 20.0}  # in jitters; farther tails are cut
SHAPE = 3.0  # of pareto: a heavy tail whose mean and variance still exist


def quantile(distribution: str, share: float) -> float:
    """By how many jitters a delay lies over the least (exponential, pareto) or the mean (normal) at that share."""
    match distribution:
        case "normal":
            return NormalDist().inv_cdf(share)
        case "exponential":
            return -math.log(1 - share)
        case "pareto":  # paretovariate - 1 has the mean 1 / (shape - 1)
            return (SHAPE - 1) * (math.pow(1 - share, -1 / SHAPE) - 1)
    raise OperationFailed(f"no distribution is called {distribution}")


def table(distribution: str) -> tuple[float, str]:
    """How many jitters one unit of netem's spread stands for, and the table in tc's format."""
    reach = REACH[distribution]
    unit = reach * SCALE / MOST
    values = (quantile(distribution, (number + 0.5) / SIZE) for number in range(SIZE))
    whole = [max(-MOST, min(MOST, round(value / unit * SCALE))) for value in values]
    rows = (" ".join(map(str, whole[start : start + 8])) for start in range(0, SIZE, 8))
    return unit, "\n".join((f"# {distribution}", *rows, ""))
