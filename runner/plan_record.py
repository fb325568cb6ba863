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


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """What a run can prove about one assertion in the shortest of its windows. Shares are of bad requests: errors, or slower ones.

    *requests* None: nothing tells how many there will be. *held*: the number of bad ones up to which it is held (from which,
    for an assertion that asks for harm); *broken*: from which it is broken. *finds*: the true share that is found broken in four
    of five runs. *needs*: requests to tell half of the limit from twice of it as surely. *why*: why nothing is foreseen.
    """

    assertion: str
    when: str
    seconds: float
    requests: float | None = None
    basis: str = ""  # what the number of requests and the noise rest on
    confidence: float = 0.95
    bad: str = ""  # what a bad request is, in words
    limit: float | None = None  # share of bad requests
    held: int | None = None
    broken: int | None = None
    finds: float | None = None
    least: int | None = None  # requests without which it cannot be held
    needs: int | None = None
    needs_seconds: float | None = None
    why: str = ""
    file: str = ""
    line: int = 0


class Harmful(msgspec.Struct, frozen=True, kw_only=True):
    """What a halt rule lets happen when *share* of the requests turn bad at once: on average, over the faults it stops."""

    rule: str
    times: float | None = None  # the limit; None: all requests turn bad
    share: float = 1.0
    within: float = 0.0  # seconds that such a fault lasts
    stopped: float = 0.0  # the share of such faults that it stops before they end
    seconds: float | None = None
    requests: float | None = None
    bad: float | None = None
    why: str = ""  # why nothing is foreseen
    file: str = ""
    line: int = 0


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything decided before anything is touched. All times in seconds after t = 0."""

    run: str  # the run's id
    scenario: Scenario
    environment: Environment
    windows: tuple[Window, ...]
    stages: tuple[StageWindow, ...]
    harms: tuple[Harm, ...] = ()
    instances: dict[str, tuple[str, ...]] = {}  # target -> instance names
    touches: tuple[str, ...] = ()  # names of all instances that its faults touch, picked or hit with those
    known_as: dict[str, str] = {}  # instance name -> the container's, pod's or node's own name
    leaves: tuple[str, ...] = ()  # what each fault would leave standing, one line each
    acts_as: tuple[str, ...] = ()  # engines and clusters this touches, and as whom
    faults_end: float = 0.0  # the last planned undo
    ends: float = 0.0  # the planned end of the run
    executes: tuple[str, ...] = ()  # what code of others this run would execute, one line each
    warnings: tuple[str, ...] = ()
    proofs: tuple[Proof, ...] = ()  # only where a plan is printed
    harmful: tuple[Harmful, ...] = ()  # the same
    calm: bool = False  # an A/A run: the windows of its faults pass, and nothing is injected
