"""All faults of a plan, each on a thread of its own, in the order and at the distances that the plan gives them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from runner.guardian.client import GuardianClient
from runner.plan_record import Plan, Window
from runner.running.brake import Brake
from runner.running.bystander import controls
from runner.running.decider import Decider
from runner.running.injection import Follows, Injection
from runner.running.newcomers import Finder
from runner.scenario import FaultUse, Limits
from runner.timeline import Event


def most_at_once(plan: Plan) -> int:
    """How many acts there are at most at one time."""
    meanwhile = ([one for one in plan.windows if one.start <= each.start < one.end] for each in plan.windows)
    return max((sum(len(one.instances) for one in windows) for windows in meanwhile), default=0)


def inject_all(
    plan: Plan,
    *,
    zero: float,
    guardian: GuardianClient,
    victims: Finder,
    limits: Limits,
    record: Callable[[Event], object],
    brake: Brake,
    decider: Decider,
    at: Callable[[], float],
) -> None:
    """Carry out every window of *plan*, each on its own thread; return when the last is undone.

    What was planned after the end of another waits for its undo, however late that comes: one property has one owner.
    What counts from another's start or end keeps its distance: helpers take seconds to be there.
    """
    uses = {use.name: use for use in plan.scenario.faults}
    injections: dict[int, Injection] = {}
    for number, window in sorted(enumerate(plan.windows), key=lambda pair: pair[1].start):
        meanwhile = [one for one in plan.windows if one.start < window.end and window.start < one.end]
        touched = frozenset(name for one in meanwhile for name in one.instances)
        use = uses[window.fault]
        injections[number] = Injection(
            use,
            window,
            run=plan.run,
            controls=controls(use, plan.instances.get(use.target, ()), touched),
            earlier=[injections[other] for other in injections if plan.windows[other].end <= window.start],
            zero=zero,
            guardian=guardian,
            victims=victims,
            limits=limits,
            record=record,
            brake=brake,
            decider=decider,
            at=at,
        )
    for number, injection in injections.items():
        window = plan.windows[number]
        of = {plan.windows[other]: one for other, one in injections.items()}
        injection.follows = _follows(uses[window.fault], window, of)
    for injection in injections.values():
        injection.start()
    for injection in injections.values():
        injection.join()


def _follows(use: FaultUse, window: Window, injections: Mapping[Window, Injection]) -> Follows | None:
    """Say what the window's time is counted from, where that is another fault: it may come late, or take its time."""
    others = sorted(
        (other for other in injections if other.fault == use.at.name), key=lambda other: other.start
    )
    match use.at.base:
        case "start" if others:
            return Follows(injections[others[0]], "start", window.start - others[0].start)
        case "end" if others:
            return Follows(injections[others[-1]], "end", window.start - others[-1].end)
    return None
