"""The README is true: its commands are those that CI runs, its examples are read, its tables are complete."""

import re
from pathlib import Path

import pytest

from runner.cli.verbs import VERBS
from runner.errors import Place
from runner.faults import KINDS
from runner.language import parse_assertion, read_environment, read_scenario
from runner.language.faults import platform_of
from runner.verdict.record import Outcome

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def block(language, words):
    """The one block of that language that holds *words*."""
    [found] = [each for each in re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL) if words in each]
    return found


def test_ci_runs_the_readmes_test_command_word_for_word():
    assert block("sh", "pytest").strip() in (ROOT / ".ci" / "run").read_text()


def test_the_scenario_and_the_environment_of_the_readme_are_read(tmp_path):
    (tmp_path / "shoppers.py").write_text((ROOT / "scenarios" / "shoppers.py").read_text())
    (tmp_path / "environments").mkdir()
    (tmp_path / "readme.yaml").write_text(block("yaml", "hypothesis:"))
    (tmp_path / "environments" / "local.yaml").write_text(block("yaml", "upstream:"))
    local = read_environment("local", tmp_path / "readme.yaml")
    [scenario] = read_scenario(tmp_path / "readme.yaml", local, {})
    assert [use.name for use in scenario.faults] == ["kill-one", "slow-store"]
    assert len(scenario.expect) == 5
    assert [s.name for s in read_scenario(tmp_path / "readme.yaml", local, {"rate": "40/s,80/s"})] == [
        "readme[rate=40/s]",
        "readme[rate=80/s]",
    ]


def test_the_environment_of_containers_and_pods_is_read(tmp_path):
    file = tmp_path / "there.yaml"
    file.write_text(block("yaml", "context: staging"))
    there = read_environment(str(file), tmp_path / "any.yaml")
    assert [platform_of(spec) for spec in there.targets.values()] == [
        "pod",
        "pod",
        "node",
        "container",
        "wire",
    ]


def test_every_halt_of_the_readme_is_read():
    lines = [line.strip() for line in block("yaml", "no data for 10s").splitlines() if "- " in line]
    rules = [re.split(r"\s+#", line.removeprefix("- "))[0] for line in lines]
    assert len(rules) == 7
    for rule in rules:
        assert parse_assertion(rule, "", "halt", Place("README.md", 1)).text == rule


@pytest.mark.parametrize("kind", KINDS)
def test_every_fault_kind_has_its_row(kind):
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", README, re.MULTILINE)
    assert any(f"`{kind}`" in row for row in rows)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_is_described(verb):
    assert f"`squall {verb}" in README


@pytest.mark.parametrize("outcome", Outcome, ids=lambda outcome: outcome.value)
def test_every_exit_code_is_described(outcome):
    assert f"| {outcome.exit_code} | {outcome.value} |" in README


@pytest.mark.parametrize("path", re.findall(r"\]\(([^)]+)\)", README))
def test_what_the_readme_shows_is_there(path):
    assert (ROOT / path).exists()
