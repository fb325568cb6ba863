"""A plan as a value: a scenario resolved against an environment; printable, storable, judged by."""

from __future__ import annotations

import msgspec

from runner.errors import Place
from runner.operations.record import Act
from runner.scenario import Environment, Scenario


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """One planned occurrence of a fault, in seconds after t = 0."""

    fault: str
    occurrence: int
    start: float
    end: float
    instances: tuple[str, ...]
    place: Place


class StageWindow(msgspec.Struct, frozen=True, kw_only=True):
    """One planned stage of a load, in seconds after t = 0 (negative: in warm-up or before)."""

    load: str
    stage: str
    start: float
    end: float


class Harm(msgspec.Struct, frozen=True, kw_only=True):
    """What a fault will do to whom: the acts as they would be compiled now."""

    fault: str
    does: str
    acts: tuple[Act, ...]
    recovers_from: str = "undo"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything decided before anything is touched. All times in seconds after t = 0."""

    run: str  # the run's id
    scenario: Scenario
    environment: Environment
    windows: tuple[Window, ...]
    stages: tuple[StageWindow, ...]
    harms: tuple[Harm, ...] = ()
    instances: dict[str, tuple[str, ...]] = {}  # target -> instance names
    known_as: dict[str, str] = {}  # instance name -> the container's, pod's or node's own name
    leaves: tuple[str, ...] = ()  # what each fault would leave standing, one line each
    acts_as: tuple[str, ...] = ()  # engines and clusters this touches, and as whom
    faults_end: float = 0.0  # the last planned undo
    ends: float = 0.0  # the planned end of the run
    executes: tuple[str, ...] = ()  # what code of others this run would execute, one line each
    warnings: tuple[str, ...] = ()
