"""Helpers that cannot look: where their image is written, what it lacks, what to do."""

from __future__ import annotations

import pytest

from runner.errors import OperationFailed, Place, Refused
from runner.faults.cpu import Cpu
from runner.faults.record import Instance
from runner.places import Cluster, Engine, Post
from runner.planning import clearance, scouting
from runner.planning.permissions import Right
from runner.planning.scouting import Draft, made_up, with_facts
from runner.remote.calling import ApiError
from runner.scenario import Helper

HELPER = Helper(image="busybox:local", place=Place(file="environments/x.yaml", line=3))
BODY = Instance(
    target="c",
    name="c.0",
    known_as="c",
    platform="container",
    container="c" * 64,
    engine=Engine(),
    post=Post(engine=Engine(), image=HELPER.image, container="c" * 64),
)
RUNC = (
    "POST /containers/ab/start: 400, failed to create task for container: failed to create shim task: OCI runtime"
    " create failed: runc create failed: unable to start container process: error during container init:"
    ' exec: "python3": executable file not found in $PATH: unknown'
)
BARE = (
    "the helper that was to look at the engine said nothing: /usr/local/bin/python3: Error while finding module"
    " specification for 'runner.helper' (ModuleNotFoundError: No module named 'runner')"
)
SILENT = "the helper that was to look at the engine said nothing within 30 s"


@pytest.mark.parametrize(
    ("cause", "says"),
    [
        (RUNC, "busybox:local is no helper image: it has no python3; make one as README says under Helpers"),
        (BARE, "busybox:local is no helper image: it has no Python module runner; make one as README says"),
        (SILENT, f"no helper of busybox:local could look at unix://.*, for c.0: {SILENT}; see whether"),
    ],
)
def test_a_helper_that_cannot_look_leads_to_its_image(cause, says, monkeypatch):
    def look(*_):
        raise OperationFailed(cause)

    monkeypatch.setattr(scouting, "look", look)
    draft = Draft(None, BODY, Cpu(limit=0.2).compile(made_up(BODY)))
    with pytest.raises(Refused, match=f"^environments/x.yaml:3: helper.image: {says}"):
        with_facts([draft], {"c": (BODY,)}, HELPER)


@pytest.mark.parametrize(
    ("account", "says"),
    [
        (
            "",
            "whether we may do what this run needs cannot be asked: that needs `create selfsubjectaccessreviews`",
        ),
        (
            "squall:reverter",
            "whether service account squall:reverter may do what it has to undo cannot be asked",
        ),
    ],
    ids=["ours", "the reverter's"],
)
def test_a_right_that_cannot_be_asked_for_is_not_called_allowed(account, says, monkeypatch):
    right = Right(cluster=Cluster(uid="u"), verb="get", resource="pods", account=account)
    monkeypatch.setattr(clearance, "rights", lambda _: iter([right]))
    monkeypatch.setattr(clearance, "client_of", lambda _: NobodyToAsk())
    found = clearance.ask({"hurt": []}, (), (), {})
    assert [warning[: len(says)] for warning in found.warnings] == [says]


class NobodyToAsk:
    """A cluster that lets us ask nothing."""

    def post(self, path, _):
        raise ApiError(403, f"POST {path}: 403, forbidden")
