"""The fixture `squall`: scenarios run from tests written in Python, against targets that the test started."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from runner.errors import Refused, SquallError
from runner.language import read_environment, read_scenario
from runner.pytest_plugin.client import Order, carry_out
from runner.pytest_plugin.collecting import note
from runner.pytest_plugin.options import environment_of, reports_of, settings_of, wait_of
from runner.verdict.record import Outcome, Verdict

log = logging.getLogger("squall")


class Squall:
    """What a test asks for a verdict."""

    def __init__(self, item: pytest.Item, scratch: Path) -> None:
        self._item, self._scratch = item, scratch

    def run(
        self,
        path: str | Path,
        *,
        env: str | Path | None = None,
        targets: Mapping[str, str | int | Mapping[str, Any]] | None = None,
        settings: Mapping[str, object] | None = None,
    ) -> Verdict:
        """Carry one scenario out and return its verdict, whatever it is.

        *path* and *env* are relative to the test's file. *targets* override those of the environment: a url, the
        pid of a process, or what an environment file would say. Raises Refused where nothing ran, SquallError where
        something is not as it was before, or Squall itself went wrong.
        """
        scenario = (self._item.path.parent / path).resolve()
        environment = self._environment(scenario, env, targets or {})
        chosen = settings_of(self._item.config) | {
            name: str(value) for name, value in (settings or {}).items()
        }
        scenarios = read_scenario(scenario, read_environment(environment, scenario), chosen)
        if len(scenarios) != 1:
            names = ", ".join(each.name for each in scenarios)
            raise Refused(f"{scenario}: is a sweep ({names}); choose one value by settings={{…}}")
        return self._verdict(
            Order(scenario, environment, self._reports(), chosen, wait_of(self._item.config))
        )

    def _verdict(self, order: Order) -> Verdict:
        ended = carry_out(order, log.info)
        note(self._item, ended)
        verdict = ended.verdict
        if verdict is None:
            raise (Refused if ended.code == 2 else SquallError)(ended.reason)
        if verdict.outcome in (Outcome.DIRTY, Outcome.DEFECT):
            raise SquallError(f"{verdict.outcome.value}: {verdict.reason}, {ended.report}")
        return verdict

    def _reports(self) -> Path:
        return reports_of(self._item.config)

    def _environment(
        self, scenario: Path, env: str | Path | None, targets: Mapping[str, str | int | Mapping[str, Any]]
    ) -> str:
        name = environment_of(self._item.config) if env is None else self._named(str(env))
        if not targets:
            return name
        written: dict[str, Any] = {
            "targets": {key: self._target(key, value) for key, value in targets.items()}
        }
        try:
            written["extends"] = str(Path(read_environment(name, scenario).path).absolute())
        except Refused:
            if env is not None or (scenario.parent / "environments" / f"{name}.yaml").exists():
                raise
        path = self._scratch / "squall-environment.yaml"
        path.write_text(json.dumps(written), encoding="utf-8")  # JSON is YAML
        return str(path)

    def _named(self, env: str) -> str:
        is_path = "/" in env or env.endswith((".yaml", ".yml"))
        return str(self._item.path.parent / env) if is_path else env

    def _target(self, name: str, wanted: str | int | Mapping[str, Any]) -> Mapping[str, Any]:
        match wanted:
            case str():
                return {"url": wanted}
            case int():
                pidfile = self._scratch / f"squall-{name}.pid"
                pidfile.write_text(str(wanted), encoding="ascii")
                return {"processes": {"pidfile": str(pidfile)}}
            case _:
                return self._with_folder(wanted)

    def _with_folder(self, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
        """Let commands start in the folder of the test, as they would beside an environment file."""
        processes = wanted.get("processes")
        if not isinstance(processes, Mapping) or "command" not in processes:
            return wanted
        return {**wanted, "processes": {"cwd": str(self._item.path.parent), **processes}}
