"""What the live view knows: followed from events, given out as one frozen scene for each drawing."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from runner.plan_record import Plan
from runner.report.sentences import Narrator, Tone
from runner.timeline import ActChanged, Confirmed, Event, HaltPulled, Phase, StageBegun, Started

MOST_RECENT = 40


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time, seconds since the anchor; without *end* it goes on."""

    start: float
    end: float | None = None


@dataclass(frozen=True, slots=True)
class Lane:
    """One fault: when it is planned, when it was, and how it stands."""

    name: str
    planned: tuple[Span, ...]
    done: tuple[Span, ...]
    state: str


@dataclass(frozen=True, slots=True)
class Said:
    """One recent event as a sentence."""

    at: float
    text: str
    tone: Tone


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that the picture needs beside the measures. *zero* is planned until it is reached."""

    title: str
    phase: str
    zero: float | None
    start: float
    end: float | None
    phases: tuple[tuple[str, float], ...]
    lanes: tuple[Lane, ...]
    recent: tuple[Said, ...]
    halted: str


@dataclass(slots=True)
class _Fault:
    begun: dict[int, float] = field(default_factory=dict)
    ended: dict[int, float] = field(default_factory=dict)
    acts: dict[str, str] = field(default_factory=dict)
    confirmed: dict[str, bool | None] = field(default_factory=dict)


class Follower:
    """Follows the events of a run. Not safe for several threads: its owner holds a lock."""

    def __init__(self, plan: Plan | None) -> None:
        self._plan = plan
        self._narrator = Narrator(plan)
        self._phases: dict[str, float] = {}
        self._faults: dict[str, _Fault] = {use.name: _Fault() for use in plan.scenario.faults} if plan else {}
        self._recent: deque[Said] = deque(maxlen=MOST_RECENT)
        self._ahead: list[StageBegun] = []
        self._halted = ""
        self.wall = 0.0  # the wall clock at the run's anchor

    def follow(self, event: Event) -> Said | None:
        """Take *event* in; give it as a sentence where it is worth one now. A stage to come waits for its time."""
        match event:
            case Started():
                self.wall = event.anchor.wall
            case Phase():
                self._phases[event.name] = event.at
            case StageBegun():
                self._ahead.append(event)
                return None
            case ActChanged() if event.fault in self._faults:
                self._act(event)
            case Confirmed() if event.fault in self._faults:
                self._faults[event.fault].confirmed[event.act] = event.ok
            case HaltPulled():
                self._halted = event.reason
            case _:
                pass
        return self._say(event)

    def arrived(self, at: float) -> list[Said]:
        """Give the stages whose time has come."""
        come = [event for event in self._ahead if event.at <= at]
        self._ahead = [event for event in self._ahead if event.at > at]
        return [said for event in come if (said := self._say(event)) is not None]

    @property
    def zero(self) -> float | None:
        """Give t = 0, seconds since the anchor, as soon as it can be known."""
        if "faults" in self._phases:
            return self._phases["faults"]
        if "warmup" in self._phases and self._plan is not None:
            return self._phases["warmup"] + self._plan.scenario.warmup + self._plan.scenario.before
        return None

    def scene(self) -> Scene:
        """Give out what is known now."""
        plan, zero = self._plan, self.zero
        start = self._phases.get("warmup", 0.0)
        return Scene(
            title=f"{plan.scenario.name} on {plan.environment.name}" if plan else "",
            phase=next(reversed(self._phases), "preparing"),
            zero=zero,
            start=start,
            end=zero + plan.ends if plan and zero is not None else None,
            phases=self._all_phases(),
            lanes=tuple(self._lane(name, fault) for name, fault in self._faults.items()),
            recent=tuple(self._recent),
            halted=self._halted,
        )

    def _say(self, event: Event) -> Said | None:
        told = self._narrator.tell(event)
        if told is None:
            return None
        said = Said(event.at, *told)
        self._recent.append(said)
        return said

    def _act(self, event: ActChanged) -> None:
        fault = self._faults[event.fault]
        fault.acts[event.act] = event.state
        if event.state == "injecting":
            fault.begun.setdefault(event.occurrence, event.at)
        elif event.state in ("clean", "dirty") and event.occurrence in fault.begun:
            fault.ended[event.occurrence] = event.at

    def _all_phases(self) -> tuple[tuple[str, float], ...]:
        """Those that began, and those still to come by the plan."""
        plan, zero = self._plan, self.zero
        known = {name: at for name, at in self._phases.items() if name not in ("targets", "end")}
        if plan is not None and zero is not None:
            known.setdefault("before", zero - plan.scenario.before)
            known.setdefault("faults", zero)
            known.setdefault("after", zero + plan.faults_end)
        return tuple(sorted(known.items(), key=lambda item: item[1]))

    def _lane(self, name: str, fault: _Fault) -> Lane:
        plan, zero = self._plan, self.zero
        windows = [window for window in plan.windows if window.fault == name] if plan else []
        planned = tuple(Span(zero + one.start, zero + one.end) for one in windows) if zero is not None else ()
        running = any(
            state in ("injecting", "injected", "failed", "undoing") for state in fault.acts.values()
        )
        last = max(fault.begun, default=-1)
        done = tuple(
            Span(at, None if running and turn == last else fault.ended.get(turn))
            for turn, at in fault.begun.items()
        )
        return Lane(name, planned, done, _state(fault))


def _state(fault: _Fault) -> str:
    """Say how a fault stands in one word or two."""
    states = set(fault.acts.values())
    if "dirty" in states:
        return "DIRTY"
    if not fault.begun:
        return "armed" if "armed" in states else "planned"
    word = next((word for word in ("undoing", "failed", "injecting", "injected") if word in states), "undone")
    seen = set(fault.confirmed.values())
    if word == "failed":
        return "failed"
    if seen and word in ("injected", "undone"):
        effect = "not confirmed" if False in seen else "confirmed" if True in seen else "not seen yet"
        return f"{word}, {effect}"
    return word
