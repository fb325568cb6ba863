"""The shape of the code: imports go one way, rooms keep their promises, nothing grows too long."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "runner").rglob("*.py"))

# A room may import from its own level and from those before it, never from a later one.
LEVELS = [
    {"errors", "units", "clock", "shown", "version", "places", "planning", "running"},
    {
        "operations.record",
        "operations.record_base",
        "operations.record_files",
        "operations.record_network",
        "operations.record_post",
        "operations.record_remote",
    },
    {"processes", "cgroups", "faults", "assertions", "comparison"},
    {"scenario", "timeline", "load.frames", "load.histogram"},
    {"plan_record", "verdict.record"},
    {"search_record"},
    {"remote", "helper.protocol", "helper.posting", "helper.on_engine", "helper.on_cluster", "helper.pods"},
    {"links"},
    {"operations"},
    {
        "language",
        "targets",
        "helper",
        "indicators",
        "load",
        "guardian",
        "statistics",
        "record",
        "journal_copy",
        "planning.calibration",
    },
    {"planning.limits", "planning.permissions", "planning.blast"},
    {
        "planning.plan",
        "live",
        "halts",
        "verdict",
        "planning.earlier",
        "planning.endings",
        "planning.expected",
        "planning.proofs",
        "planning.foresight",
    },
    {
        "running.acts",
        "report",
        "view",
        "running.brake",
        "running.control",
        "running.crowds",
        "running.newcomers",
    },
    {"running.decider"},
    {
        "running.watch",
        "running.injecting",
        "running.injection",
        "running.bystander",
        "running.victims",
        "running.drawing",
        "planning.scouting",
        "planning.clearance",
        "planning.outliving",
        "planning.neighbours",
        "planning.plugins",
    },
    {"running.conductor", "running.leftovers", "planning.preparation"},
    {"running.carrying"},
    {"trials"},
    {"searching"},
    {"cli", "pytest_plugin"},
]
PURE = (
    "faults/",
    "statistics/",
    "verdict/",
    "planning/plan.py",
    "plan_record.py",
    "planning/endings.py",
    "planning/expected.py",
    "planning/proofs.py",
    "planning/foresight.py",
    "planning/limits.py",
    "planning/permissions.py",
    "planning/blast.py",
    "assertions.py",
    "report/figures",
)
EFFECTS = {"time", "socket", "subprocess", "os", "shutil", "threading", "requests", "psutil"}


def name_of(path):
    parts = path.relative_to(ROOT / "runner").with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def level(module):
    for depth in (2, 1):
        stem = ".".join(module.split(".")[:depth])
        for number, rooms in enumerate(LEVELS):
            if stem in rooms:
                return number
    return None


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_go_one_way(path):
    own = name_of(path)
    if not own:
        return
    assert level(own) is not None, f"{own} has no level; give it one in LEVELS"
    for imported in imports(path):
        if imported.startswith("runner.") and (other := level(imported.removeprefix("runner."))) is not None:
            assert other <= level(own), f"{own} imports {imported}, which is a later room"


@pytest.mark.parametrize(
    "path", [p for p in MODULES if str(p.relative_to(ROOT / "runner")).startswith(PURE)], ids=name_of
)
def test_deciding_touches_no_clock_disk_or_network(path):
    assert not {name.split(".")[0] for name in imports(path)} & EFFECTS


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_nothing_grows_too_long(path):
    text = path.read_text()
    assert text.count("\n") <= 300, f"{path} is over 300 lines: split it"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= 50, f"{path}:{node.lineno} {node.name} has {length} lines"


@pytest.mark.parametrize("path", [p for p in MODULES if p.read_text().strip()], ids=name_of)
def test_every_module_says_what_it_is_for(path):
    assert ast.get_docstring(ast.parse(path.read_text())), f"{path} does not say what it is for"


@pytest.mark.parametrize(
    "module",
    ["runner", "runner.cli", "runner.cli.running", "runner.pytest_plugin", "runner.running.conductor"],
)
def test_importing_squall_brings_in_neither_locust_nor_gevent(module):
    code = f"import sys, json, {module}; print(json.dumps(sorted(sys.modules)))"
    seen = json.loads(
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout
    )
    assert not {"locust", "gevent"} & set(seen)


def test_only_the_load_workers_import_locust():
    users = {
        name_of(path)
        for path in MODULES
        if any(n.split(".")[0] in ("locust", "gevent") for n in imports(path))
    }
    assert users
    assert all(user.startswith("load.") for user in users), users


def test_the_top_level_shows_only_what_was_agreed():
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    visible = {name.split("/")[0] for name in listed if not name.startswith(".")}
    assert visible == {"pyproject.toml", "README.md", "scenarios", "runner", "tests", "reports"}
