"""What the options of pytest's command line and ini file mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.units import QuantityError, parse


def environment_of(config: pytest.Config) -> str:
    """The environment to run in: an option, else the ini file's, else local."""
    chosen = config.getoption("--squall-env") or config.getini("squall_env") or "local"
    if "/" not in chosen and not chosen.endswith((".yaml", ".yml")):
        return str(chosen)
    start = config.invocation_params.dir if config.getoption("--squall-env") else config.rootpath
    return str(start / chosen)


def settings_of(config: pytest.Config) -> dict[str, str]:
    """The parameters set by `--squall-set`. Raises UsageError where one has no value."""
    pairs = config.getoption("--squall-set")
    for pair in pairs:
        if "=" not in pair:
            raise pytest.UsageError(f"--squall-set {pair}: write NAME=VALUE, as in rate=80/s")
    return dict(pair.split("=", 1) for pair in pairs)


def reports_of(config: pytest.Config) -> Path:
    """The folder of the records."""
    chosen = config.getoption("--squall-report")
    return config.invocation_params.dir / chosen if chosen else config.rootpath / "reports"


def wait_of(config: pytest.Config) -> float:
    """Seconds to wait for another run on this machine. Raises UsageError."""
    try:
        return parse("duration", config.getoption("--squall-wait"))
    except QuantityError as error:
        raise pytest.UsageError(f"--squall-wait: {error}") from None
