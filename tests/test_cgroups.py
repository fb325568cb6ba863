"""Who is in a cgroup is told while cgroups below it come and go."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runner.cgroups import entries, members


@pytest.fixture
def tree(tmp_path):
    """Directories as the kernel shows cgroups: 1 above, 2 and somebody unseen beside one that is empty, 3 below."""
    for name, said in (("", "1\n"), ("beside", "2\n0\n"), ("beside/below", "3\n")):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "cgroup.procs").write_text(said)
    (tmp_path / "going").mkdir()
    return tmp_path


def test_everybody_below_is_a_member_and_who_is_unseen_an_entry(tree):
    assert members(tree) == {1, 2, 3}
    assert entries(tree) == {0, 1, 2, 3}


def test_a_cgroup_that_goes_while_it_is_looked_at_holds_nobody(tree, monkeypatch):
    scandir, gone = os.scandir, []

    def late(place):
        if Path(place).name == "going":
            Path(place).rmdir()  # between being named and being looked into
            gone.append(place)
        return scandir(place)

    monkeypatch.setattr(os, "scandir", late)
    assert members(tree) == {1, 2, 3}
    assert gone


def test_a_cgroup_that_is_gone_holds_nobody(tree):
    assert members(tree / "never") == set()
