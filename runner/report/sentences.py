"""Events of a run as sentences, for the live view, plain lines and the report's log."""

from __future__ import annotations

from typing import Literal

from runner.plan_record import Plan
from runner.report.words import evidence, quantity, span
from runner.shown import shown
from runner.timeline import (
    ActChanged,
    Confirmed,
    Control,
    Decided,
    Escaped,
    Event,
    EvidenceSeen,
    Expects,
    HaltPulled,
    Note,
    Phase,
    Sample,
    StageBegun,
    Started,
)

Tone = Literal["quiet", "good", "warn", "bad"]

_STATES: dict[str, tuple[str, Tone]] = {
    "injected": ("injected on", "warn"),
    "failed": ("could not be injected on", "bad"),
    "clean": ("undone on", "good"),
    "dirty": ("LEFT DIRTY on", "bad"),
}
_EARLY: dict[str, tuple[str, Tone]] = {
    "over": ("was over before its time on", "bad"),
    "lost": ("was lost on", "bad"),
}
_CAUSES = {
    "rule": "a halt rule tripped",
    "signal": "a signal came",
    "command": "somebody asked for it",
    "evidence": "evidence dried up",
    "guardian": "the guardian is lost",
    "disk": "the disk failed",
    "defect": "a defect of Squall",
}


class Narrator:
    """Tells events one by one, leaving out what was said before and what nobody needs."""

    def __init__(self, plan: Plan | None = None) -> None:
        self._plan = plan
        self._faults = frozenset(use.name for use in plan.scenario.faults) if plan else None
        self._said: dict[object, object] = {}

    def tell(self, event: Event) -> tuple[str, Tone] | None:
        """Say *event* in one line with its tone; None where it is not worth one."""
        match event:
            case Started():
                return self._start(event), "quiet"
            case Phase():
                return self._phase(event), "quiet"
            case StageBegun():
                return f"stage {shown(event.name, 80)} of load {shown(event.load, 80)} begins", "quiet"
            case ActChanged():
                return self._act(event)
            case Confirmed():
                return self._confirmed(event)
            case Escaped():
                came = ", ".join(shown(name, 80) for name in event.instances)
                verb = "hurts also" if event.joined else "is escaped by"
                return f"{shown(event.fault, 80)} {verb} {came}, which came meanwhile", "quiet"
            case Control():
                word = {True: "LEAKED to", False: "leaves alone", None: "cannot be told from"}[event.leaked]
                told = f"{shown(event.fault, 80)} {word} {shown(event.instance, 80)}: {shown(event.evidence, 200)}"
                return told, "bad" if event.leaked else "quiet"
            case HaltPulled():
                return self._halt(event), "bad"
            case Decided():
                what = f"{shown(event.fault, 80)} ends" if event.fault else "the run ends"
                return f"all about it is decided: {what} {event.early:.1f} s early", "quiet"
            case Note():
                return self._note(event)
            case Sample():
                return self._sample(event)
            case EvidenceSeen():
                return self._evidence(event)
            case Expects():
                return self._expects(event), "quiet"

    def _expects(self, event: Expects) -> str:
        head = f"objective {shown(event.objective, 80)}"
        if not event.events:
            return f"{head}: its budget goes by this run's own traffic: {shown(event.why, 200)}"
        return (
            f"{head}: {event.events:,.0f} events expected in its time, from {span(event.window)} of history"
        )

    def _start(self, event: Started) -> str:
        if self._plan is None:
            return f"run {shown(event.run, 80)}"
        scenario = self._plan.scenario
        whole = scenario.warmup + scenario.before + self._plan.ends
        where = shown(self._plan.environment.name, 80)
        return f"run {shown(event.run, 80)}: {shown(scenario.name, 120)} against {where}, about {span(whole)}"

    def _phase(self, event: Phase) -> str:
        lasts = ""
        if self._plan is not None:
            scenario = self._plan.scenario
            known = {"warmup": scenario.warmup, "before": scenario.before, "after": scenario.after}
            lasts = f" ({span(known[event.name])})" if event.name in known else ""
        sentences = {
            "targets": "targets: starting what the scenario needs",
            "warmup": "warm-up: the load runs, nothing is judged yet",
            "before": "before: is the system steady?",
            "faults": "t = 0: faults begin",
            "after": "after: all undone; is the system itself again?",
            "end": "end of the run",
        }
        return sentences[event.name] + lasts

    def _act(self, event: ActChanged) -> tuple[str, Tone] | None:
        ours = self._faults is None or event.fault in self._faults
        if event.state not in _STATES or not (ours or event.state in ("failed", "dirty")):
            return None
        if not self._news(("act", event.act), event.state):
            return None
        verb, tone = _EARLY[event.early] if event.early else _STATES[event.state]
        name = shown(event.fault or event.kind or event.act, 80)
        by = "" if event.by == "runner" else f" by {shown(event.by, 40)}"
        why = f": {shown(event.evidence, 200)}" if event.evidence else ""
        mend = f"; mend by hand: {shown(event.remedy, 600)}" if event.remedy else ""
        return f"{name} {verb} {shown(event.instance, 80)}{by}{why}{mend}", tone

    def _confirmed(self, event: Confirmed) -> tuple[str, Tone] | None:
        if not self._news(("confirmed", event.act), event.ok):
            return None
        said: dict[bool | None, tuple[str, Tone]] = {
            True: ("confirmed on", "warn"),
            False: ("NOT CONFIRMED on", "bad"),
            None: ("not seen to act yet on", "quiet"),
        }
        verb, tone = said[event.ok]
        return (
            f"{shown(event.fault, 80)} {verb} {shown(event.instance, 80)}: {shown(event.evidence, 200)}",
            tone,
        )

    def _halt(self, event: HaltPulled) -> str:
        rule = f" `{shown(event.rule, 120)}`" if event.rule else ""
        unit = "share" if event.confidence else _unit(event.rule)
        value = f", at {quantity(event.value, unit)}" if event.value is not None and event.rule else ""
        return f"HALT: {_CAUSES[event.cause]}{rule}{value}: {shown(event.reason, 300)}"

    def _note(self, event: Note) -> tuple[str, Tone] | None:
        if not self._news(("note", event.text), event.level):
            return None
        tones: dict[str, Tone] = {"info": "quiet", "warning": "warn", "invalid": "bad"}
        word = "" if event.level == "info" else f"{event.level}: "
        return word + shown(event.text, 400), tones[event.level]

    def _sample(self, event: Sample) -> tuple[str, Tone] | None:
        """Only where a probe begins to fail, or works again."""
        failed = bool(event.error)
        key = ("sample", event.indicator, event.instance)
        known = key in self._said
        if not self._news(key, failed) or not (failed or known):
            return None
        name = shown(f"{event.indicator} {event.instance}".strip(), 120)
        return (
            (f"no data of {name}: {shown(event.error, 200)}", "warn")
            if failed
            else (f"{name} has data again", "good")
        )

    def _evidence(self, event: EvidenceSeen) -> tuple[str, Tone] | None:
        """Only where it comes to one more tenth of what is needed, counted in powers of ten, than ever before."""
        tenths = int(10 * event.log10 / event.needed) if event.needed > 0 else 0
        key = ("evidence", event.rule)
        known = self._said.get(key)
        if tenths < 3 or (isinstance(known, int) and tenths <= known):
            return None
        self._said[key] = tenths
        return f"evidence for `{shown(event.rule, 120)}`: {evidence(event)}", "warn"

    def _news(self, key: object, value: object) -> bool:
        """Whether *value* is not what was said last of *key*; at most 10,000 keys are remembered."""
        if key in self._said and self._said[key] == value:
            return False
        if len(self._said) < 10_000:
            self._said[key] = value
        return True


def _unit(rule: str) -> str:
    """Guess the unit that a rule is in from its own words."""
    if rule.lstrip().startswith("burn_rate"):
        return ""
    if "rate" in rule.split("<", maxsplit=1)[0].split(">", maxsplit=1)[0]:
        return "share"
    return "seconds" if rule.lstrip().startswith(("p", "mean", "max")) else ""
