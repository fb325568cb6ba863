"""Scenario files as tests, and the fixture `squall` for tests written in Python.

Nothing is collected unless the ini option `squall_scenarios` is set or `--squall` is given: a plugin must not start
chaos by being installed. Whatever costs time to import is imported where it is used.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from runner.pytest_plugin.written_in_python import Squall

_SCENARIOS = pytest.StashKey[frozenset[Path]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare `--squall…` and the ini options."""
    group = parser.getgroup("squall", "Squall: chaos-and-load scenarios as tests")
    group.addoption(
        "--squall",
        action="append",
        default=[],
        metavar="PATH",
        help="run this scenario, or all below this folder; without other arguments, only these",
    )
    group.addoption(
        "--squall-env", metavar="NAME|PATH", help="environment (default: ini squall_env, else local)"
    )
    group.addoption("--squall-set", action="append", default=[], metavar="K=V", help="set a parameter")
    group.addoption("--squall-report", metavar="DIR", help="folder of the records (default: reports)")
    group.addoption(
        "--squall-skip-inconclusive",
        action="store_true",
        help="skip scenarios that cannot tell instead of failing",
    )
    group.addoption(
        "--squall-wait",
        default="10m",
        metavar="DUR",
        help="how long to wait for another run on this machine (10m)",
    )
    parser.addini(
        "squall_scenarios", "scenario files to collect, as globs from the root", type="args", default=[]
    )
    parser.addini("squall_env", "environment of the scenarios", default="")


def pytest_configure(config: pytest.Config) -> None:
    """Find the scenario files that were asked for, and let pytest visit them."""
    asked = [path for text in config.getoption("--squall") for path in _asked(config, text)]
    globbed = [path for pattern in config.getini("squall_scenarios") for path in _globbed(config, pattern)]
    config.stash[_SCENARIOS] = frozenset((*asked, *globbed))
    if asked and config.args_source is not config.ArgsSource.ARGS:
        config.args[:] = map(str, asked)
    elif config.args_source is config.ArgsSource.TESTPATHS:
        _visit(config, globbed)
    else:
        _visit(config, asked)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect a scenario file, where it was asked for."""
    if file_path not in parent.config.stash[_SCENARIOS]:
        return None
    from runner.pytest_plugin.collecting import ScenarioFile  # noqa: PLC0415 — see the module's docstring

    return ScenarioFile.from_parent(parent, path=file_path)


@pytest.fixture
def squall(request: pytest.FixtureRequest) -> Squall:
    """Run scenarios from a test: `squall.run(path, env=…, targets={…}, settings={…})` gives the Verdict."""
    from runner.pytest_plugin.written_in_python import Squall  # noqa: PLC0415 — see the module's docstring

    return Squall(request.node, request.getfixturevalue("tmp_path"))


def _asked(config: pytest.Config, text: str) -> list[Path]:
    path = (config.invocation_params.dir / text).resolve()
    if path.is_dir():
        found = sorted(
            file for file in path.rglob("*.y*ml") if "environments" not in file.relative_to(path).parts
        )
        if not found:
            raise pytest.UsageError(f"--squall {text}: there is no scenario below that folder")
        return found
    if not path.is_file():
        raise pytest.UsageError(f"--squall {text}: no such scenario")
    return [path]


def _globbed(config: pytest.Config, pattern: str) -> list[Path]:
    return sorted(path.resolve() for path in config.rootpath.glob(pattern) if path.is_file())


def _visit(config: pytest.Config, files: list[Path]) -> None:
    """Add to what pytest visits the files that it does not visit anyway."""
    roots = [
        (config.invocation_params.dir / argument.partition("::")[0]).resolve() for argument in config.args
    ]
    config.args += [str(file) for file in files if not any(file.is_relative_to(root) for root in roots)]
