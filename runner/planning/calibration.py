"""What A/A runs of a scenario taught about its noise: kept beside its reports, read by `squall plan`."""

from __future__ import annotations

from pathlib import Path

import msgspec

FILE = "aa.json"


class Noise(msgspec.Struct, frozen=True, kw_only=True):
    """One term of an assertion over the A/A runs, by the text of the term (`p95{GET /item}`).

    *spread*: standard deviation of the runs' values over their mean, without what sampling alone explains.
    *detectable*: the smallest relative change that one more run would find (80 % power at the scenario's confidence).
    """

    term: str
    when: str  # as written, or `steady state before`
    value: float  # mean over the runs, base units
    requests: float  # behind the value, mean over the runs
    design_effect: float
    correlation: float  # seconds
    spread: float
    detectable: float | None = None


class FalseHalts(msgspec.Struct, frozen=True, kw_only=True):
    """How often a halt rule tripped although nothing was injected."""

    rule: str
    halted: int
    runs: int


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """What `squall aa` found. *scenario* is a hash of the file: noise of another version says nothing."""

    version: int = 1
    scenario: str  # sha256 of the scenario file
    environment: str
    made: str  # ISO 8601, UTC
    runs: tuple[str, ...]  # report folders
    seconds: float  # that were judged, in all runs
    noise: tuple[Noise, ...] = ()
    halts: tuple[FalseHalts, ...] = ()
    rates: dict[str, float] = {}  # request -> per second


def keep(calibration: Calibration, folder: Path) -> Path:
    """Write it into the folder of the scenario's reports. Raises OSError."""
    path = folder / FILE
    path.write_bytes(msgspec.json.format(msgspec.json.encode(calibration), indent=1))
    return path


def known(folder: Path) -> Calibration | None:
    """Read what is kept there; None where there is nothing, or nothing readable."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=Calibration)
    except (OSError, msgspec.DecodeError):
        return None
