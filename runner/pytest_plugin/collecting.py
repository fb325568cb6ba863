"""Scenario files as tests: one item for each scenario, or each value of its sweep."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from runner.errors import Refused, SquallError
from runner.language import read_environment, read_scenario
from runner.pytest_plugin.client import Ended, Order, carry_out
from runner.pytest_plugin.options import environment_of, reports_of, settings_of, wait_of
from runner.pytest_plugin.telling import ScenarioDidNotCount, check_counts, check_outcome
from runner.scenario import Scenario

log = logging.getLogger("squall")


class ScenarioFile(pytest.File):
    """A scenario file that was asked for."""

    def collect(self) -> Iterator[pytest.Item]:
        """Read the file as the runner would: what is wrong in it is a collection error of one line."""
        settings = settings_of(self.config)
        try:
            environment = read_environment(environment_of(self.config), self.path)
            scenarios = read_scenario(self.path, environment, settings)
        except SquallError as error:
            raise self.CollectError(str(error)) from None
        for scenario in scenarios:
            yield ScenarioItem.from_parent(
                self,
                name=scenario.name,
                settings=settings | _own(scenario, scenarios),
                expected=scenario.outcome,
            )


class ScenarioItem(pytest.Item):
    """One run. It happens in the set-up, so that a run that says nothing about the system is an error."""

    def __init__(self, *, settings: dict[str, str], expected: str, **node: Any) -> None:
        super().__init__(**node)
        self._settings, self._expected = settings, expected
        self._ended: Ended | None = None

    def setup(self) -> None:
        """Carry the scenario out. Raises ScenarioDidNotCount."""
        if self.config.getoption("setupplan") or self.config.getoption("setuponly"):
            return
        order = Order(
            scenario=self.path,
            environment=environment_of(self.config),
            settings=self._settings,
            reports=reports_of(self.config),
            wait=wait_of(self.config),
        )
        try:
            self._ended = carry_out(order, log.info)
        except Refused as refused:
            raise ScenarioDidNotCount(str(refused), pytrace=False) from None
        note(self, self._ended)
        check_counts(self._ended)

    def runtest(self) -> None:
        """Compare its outcome with the one that the file expects. Raises ScenarioBroken."""
        assert self._ended is not None
        skip = bool(self.config.getoption("--squall-skip-inconclusive"))
        check_outcome(self._ended, self._expected, skip_inconclusive=skip)

    def reportinfo(self) -> tuple[Any, int | None, str]:
        """Name the file and the scenario."""
        return self.path, None, self.name


def note(item: pytest.Item, ended: Ended) -> None:
    """Attach outcome and report to the item; `record_property` would warn under JUnit's xunit2."""
    if ended.verdict is not None:
        item.user_properties.append(("squall_outcome", ended.verdict.outcome.value))
        item.user_properties.append(("squall_report", str(ended.report)))


def _own(scenario: Scenario, all_of_file: Sequence[Scenario]) -> dict[str, str]:
    """The settings that tell one value of a sweep from the others."""
    first = all_of_file[0].parameters
    swept = [name for name in first if any(other.parameters[name] != first[name] for other in all_of_file)]
    return {name: scenario.parameters[name] for name in swept}
