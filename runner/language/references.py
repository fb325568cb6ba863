"""What names refer to: every fault, stage, indicator and target that a scenario mentions has to exist."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

from runner import units
from runner.assertions import Assertion, Bound, Selector, Term
from runner.errors import Mistake, Place
from runner.language.comparison import assertions_of
from runner.language.confidence import objection
from runner.language.faults import platform_of
from runner.language.indicators import KIND_OF_UNIT
from runner.language.substitution import nearest
from runner.language.terms import KIND_OF_OBJECTIVE, KIND_OF_TERM, OF_OWN
from runner.language.written import Written
from runner.scenario import Environment, Indicator, Scenario


def check_references(scenario: Scenario, environment: Environment, entries: Mapping[str, Written]) -> None:
    """Raise the first Mistake among the names of *scenario*; *entries* are its top-level keys."""
    _check_shared_names(scenario, environment)
    _check_anchors(scenario, entries)
    for indicator in scenario.indicators:
        _check_indicator(indicator, environment)
    judge = _Assertions(scenario, environment)
    for section in ("steady_state", "expect", "halt"):
        for assertion in getattr(scenario, section):
            judge.check(assertion, section)
    if scenario.compare is not None:
        for path, assertion in assertions_of(scenario.compare):
            judge.check(assertion, path)


def _check_shared_names(scenario: Scenario, environment: Environment) -> None:
    for indicator in (*scenario.indicators, *environment.indicators):
        if indicator.name in environment.objectives and not indicator.counters:
            what = f"an objective of {environment.path} has that name too; rename one of them"
            raise Mistake(indicator.place, f"indicators.{indicator.name}", what)
    stages = {stage.name for load in scenario.loads for stage in load.stages}
    for fault in scenario.faults:
        if fault.name in stages:
            raise Mistake(
                fault.place, f"faults.{fault.name}", "a stage has that name too; rename one of them"
            )


def _check_anchors(scenario: Scenario, entries: Mapping[str, Written]) -> None:
    faults = {fault.name: fault for fault in scenario.faults}
    stages = {stage.name: stage for load in scenario.loads for stage in load.stages}
    for fault in scenario.faults:
        name = fault.at.name
        if fault.at.base == "zero":
            continue
        written = entries["faults"].entries()[fault.name].entries()["at"]
        if name not in faults and name not in stages:
            written.refuse(f"no fault or stage is called {name}{nearest(name, [*faults, *stages])}")
        if name in stages and fault.at.base == "end" and stages[name].duration is None:
            written.refuse(f"stage {name} lasts until the run ends; give it a `for`, or anchor to its start")
        trail = [fault.name]
        while name in faults and faults[name].at.base != "zero":
            if name in trail:
                written.refuse(f"goes in circles: {' → '.join([*trail, name])}; anchor one of them to t = 0")
            trail.append(name)
            name = faults[name].at.name


def _check_indicator(indicator: Indicator, environment: Environment) -> None:
    path = f"indicators.{indicator.name}"
    if indicator.source == "prometheus" and "prometheus" not in environment.connections:
        what = f"needs a connection: write connections: {{prometheus: {{url: …}}}} in {environment.path}"
        raise Mistake(indicator.place, path, what)
    if indicator.source != "process":
        return
    spec = environment.targets.get(indicator.target)
    if spec is None:
        hint = nearest(indicator.target, environment.targets)
        raise Mistake(indicator.place, path, f"no target {indicator.target} in {environment.path}{hint}")
    if spec.link is not None or spec.wire is not None or platform_of(spec) in ("url", "node"):
        raise Mistake(indicator.place, path, f"target {indicator.target} has no processes to measure")
    if indicator.measure == "available" and platform_of(spec) != "pod":
        raise Mistake(
            indicator.place, path, f"target {indicator.target} is no pods; available is of a workload of pods"
        )
    if indicator.measure == "fds" and platform_of(spec) != "process":
        what = f"neither engines nor kubelets tell the fds of {indicator.target}; measure threads, or ask it by http"
        raise Mistake(indicator.place, path, what)


class _Assertions:
    """Checks assertions against the names of one scenario."""

    def __init__(self, scenario: Scenario, environment: Environment) -> None:
        self.scenario, self.environment = scenario, environment
        self.faults = {fault.name for fault in scenario.faults}
        self.stages = {stage.name for load in scenario.loads for stage in load.stages}
        self.indicators = {indicator.name: indicator for indicator in scenario.indicators}
        self.labels = {label for load in scenario.loads for label in load.labels}
        self.place, self.path, self.text = Place("", 0), "", ""

    def check(self, assertion: Assertion, section: str) -> None:
        self.place, self.text = assertion.place, assertion.text
        self.path = f"{section}.{assertion.when.text}" if assertion.when.text else section
        self._check_when(assertion)
        if assertion.no_data is not None:
            self._check_no_data(assertion, section)
            return
        kind = self._check_term(assertion.term)
        if assertion.term.name == "recovery":
            self._check_recovery(assertion, section)
        self._check_bound(assertion.bound, kind)
        self._check_whole(assertion, section)
        if problem := objection(assertion, section):
            self._refuse(problem)
        relative = assertion.within is not None or (
            assertion.bound.factor is not None and assertion.bound.term is None
        )
        if relative and (section == "steady_state" or assertion.when.kind == "before"):
            self._refuse("compares `before` with itself; write it under expect, after or during something")
        if relative and self.scenario.before == 0:
            self._refuse("has nothing to compare with: before is 0s; give it time, such as before: 10s")

    def _check_whole(self, assertion: Assertion, section: str) -> None:
        """Some terms make sense of a whole window only, and some only when the run is over."""
        name, other = assertion.term.name, assertion.bound.term
        if name in ("budget", "trend", "cost") and (assertion.over or assertion.lasting):
            self._refuse(f"{name} is of a whole window; remove `over` and `for`")
        if name in ("trend", "cost") and section != "expect":
            self._refuse(f"{name} is known when a window is over; write it under expect")
        if name == "budget" and section == "steady_state":
            self._refuse("budget is what a whole run spends; write it under expect or halt")
        own = [
            self.indicators[one.of]
            for one in (assertion.term, other)
            if one and one.name in OF_OWN and one.of
        ]
        if section == "halt" and assertion.over is None and any(not one.histogram for one in own):
            self._refuse("of the samples of how long? add `over`, such as over 30s")

    def _refuse(self, what: str) -> NoReturn:
        raise Mistake(self.place, self.path, f'"{self.text}": {what}')

    def _check_when(self, assertion: Assertion) -> None:
        when = assertion.when
        if when.kind in ("during", "after_name") and when.name not in self.faults | self.stages:
            hint = nearest(when.name, [*self.faults, *self.stages])
            raise Mistake(self.place, self.path, f"no fault or stage is called {when.name}{hint}")
        if when.kind == "faults" and not self.faults:
            raise Mistake(self.place, self.path, "there are no faults; write always, or add one")

    def _check_no_data(self, assertion: Assertion, section: str) -> None:
        name = assertion.term.name
        if section != "halt":
            self._refuse("belongs under halt; elsewhere no data is inconclusive anyway")
        if name and name not in self.indicators:
            self._refuse(f"no indicator is called {name}{nearest(name, self.indicators)}")

    def _check_recovery(self, assertion: Assertion, section: str) -> None:
        when = assertion.when
        if section != "expect" or when.kind != "after_name" or when.name not in self.faults:
            self._refuse(
                "recovery is known after a fault only; write it under expect as `after FAULT: recovery < 10s`"
            )
        if not self.scenario.steady_state:
            self._refuse("recovery needs a steady_state to come back to; write one")
        if assertion.over is not None or assertion.lasting is not None or assertion.within is not None:
            self._refuse("recovery is one duration; write recovery < 10s")

    def _check_term(self, term: Term) -> str:
        """Check that the term is measured; return the kind of quantity it is."""
        if term.name in KIND_OF_OBJECTIVE:
            return self._check_objective(term)
        if term.of:
            return self._check_of_own(term)
        if term.name in KIND_OF_TERM:
            if not self.scenario.loads:
                self._refuse(
                    f"{term.text} is measured by a load, and there is none; add `load`, or an indicator"
                )
            self._check_load_selector(term.selector)
            if term.name == "cost":
                self._check_cost(term)
            return KIND_OF_TERM[term.name]
        indicator = self.indicators.get(term.name)
        if indicator is None:
            known = [*(name for name in KIND_OF_TERM if name != "quantile"), "p95", *self.indicators]
            self._refuse(f"no indicator is called {term.name}{nearest(term.name, known)}")
        if indicator.histogram:
            self._refuse(f"{term.name} is a distribution; write p95 of {term.name}")
        self._check_own_selector(term.selector, term.name)
        return KIND_OF_UNIT[indicator.unit]

    def _check_objective(self, term: Term) -> str:
        known = self.environment.objectives
        if term.of not in known:
            hint = nearest(term.of, known)
            self._refuse(f"no objective is called {term.of} in {self.environment.path}{hint}")
        return KIND_OF_OBJECTIVE[term.name]

    def _check_of_own(self, term: Term) -> str:
        indicator = self.indicators.get(term.of)
        if indicator is None:
            self._refuse(f"no indicator is called {term.of}{nearest(term.of, self.indicators)}")
        if indicator.is_ratio:
            self._refuse(f"{term.of} is a ratio of sums already; write {term.of} alone")
        if indicator.histogram and term.name != "quantile":
            self._refuse(f"{term.of} is a distribution; write p95 of {term.of}")
        self._check_own_selector(term.selector, term.of)
        kind = KIND_OF_UNIT[indicator.unit]
        return f"{kind} per time" if term.name == "trend" else kind

    def _check_cost(self, term: Term) -> None:
        if self.environment.price is None:
            self._refuse(f"nobody says what this costs; write price: 0.3264 USD/h in {self.environment.path}")
        if term.selector.each or term.selector.code or term.selector.error:
            self._refuse("cost is shared by what succeeded; select with request=, load= or a label")

    def _check_load_selector(self, selector: Selector) -> None:
        loads = [load.name for load in self.scenario.loads]
        if selector.load and selector.load not in loads:
            self._refuse(f"no load is called {selector.load}{nearest(selector.load, loads)}")
        if selector.instance:
            self._refuse("requests do not know their instance; select by request=, code=, error= or a label")
        for label in selector.labels:
            if label not in self.labels:
                known = ["request", "load", "error", "code", *self.labels]
                self._refuse(f"{label}= is neither a selector nor a declared label{nearest(label, known)}")

    def _check_own_selector(self, selector: Selector, name: str) -> None:
        if (
            selector.request
            or selector.each
            or selector.load
            or selector.error
            or selector.code
            or selector.labels
        ):
            self._refuse(f"{name} is not measured by request; select with instance=, or remove the braces")
        target = self.indicators[name].target
        if selector.instance and (not target or not selector.instance.startswith(f"{target}.")):
            self._refuse(
                f"{name} has no instance {selector.instance}" + (f"; write {target}.0" if target else "")
            )

    def _check_bound(self, bound: Bound, kind: str) -> None:
        if bound.term is not None:
            other = self._check_term(bound.term)
            if other != kind:
                self._refuse(f"compares a {kind} with a {other}")
        if bound.value is None:
            return
        try:
            units.parse(kind, bound.text, likely="ms" if kind == "duration" else "")
        except units.QuantityError as error:
            self._refuse(str(error))
        price = self.environment.price
        if kind == "money" and price is not None and not bound.text.endswith(price.currency):
            self._refuse(f"is not in {price.currency}, as the price in {self.environment.path} is")
