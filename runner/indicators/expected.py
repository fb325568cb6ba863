"""How many events an objective expects in its whole time, asked from Prometheus once when a run begins."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from runner.errors import ProbeFailed
from runner.plan_record import Plan
from runner.scenario import Connection, Indicator, Objective
from runner.statistics.budgets import budgets_of
from runner.timeline import Expects
from runner.units import written

_WINDOWS = (86400.0, 3600.0, 600.0, 60.0)  # where there is no history of the objective's whole time
_POINTS = 200  # of a window; half of them must be there


def ask_expected(plan: Plan, *, at: Callable[[], float], tell: Callable[[Expects], object]) -> None:
    """Ask for each objective whose budget is judged, in the background; *tell* is called from another thread."""
    environment = plan.environment
    for name in budgets_of(plan.scenario):
        connection = environment.connections["prometheus"]

        def ask(name: str = name, connection: Connection = connection) -> None:
            events, window, why = expected(environment.objectives[name], connection)
            tell(Expects(at=at(), objective=name, events=events, window=window, why=why))

        threading.Thread(target=ask, name=f"objective {name}", daemon=True).start()


def expected(objective: Objective, connection: Connection) -> tuple[float, float, str]:
    """The growth of its counters over its time, or over the longest window that has history, scaled up to it; that
    window; and why there is none.
    """
    from runner.indicators.prometheus import PrometheusProbe  # noqa: PLC0415 - requests is slow to import

    asked = Indicator(
        name="expected", source="prometheus", total=objective.total, every=5.0, place=objective.place
    )
    probe = PrometheusProbe(asked, connection.url, os.environ.get(connection.token_env, ""))
    try:
        for window in (objective.over, *(one for one in _WINDOWS if one < objective.over)):
            step = written("duration", max(0.001, round(window / _POINTS, 3)))
            history = f"({objective.total})[{written('duration', window)}:{step}]"
            seen = probe.number_or_nothing(f"max(count_over_time({history}))")
            if seen is None or seen < _POINTS / 2:
                continue
            grown = probe.number_or_nothing(f"sum(increase({history}))")
            if grown:
                return grown * (_POINTS / min(seen, _POINTS)) * objective.over / window, window, ""
    except ProbeFailed as failed:
        return 0.0, 0.0, str(failed)
    finally:
        probe.close()
    return 0.0, 0.0, "Prometheus has no history of its events"
