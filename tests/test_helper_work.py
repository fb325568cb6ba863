"""How long a helper goes on undoing: by what kept it from it."""

from __future__ import annotations

import threading

import pytest

from runner.helper import work
from runner.helper.protocol import Orders
from runner.helper.work import Work
from runner.operations.context import Stand
from runner.operations.record import WriteFile
from runner.places import Cluster, Engine, Post
from tests.link_parts import until

API = Post(cluster=Cluster(), image="any", shape="api")
NEAR = Post(engine=Engine(), image="any", shape="network")
STANDING = Post(engine=Engine(), image="any", shape="cgroup", container="c" * 64)


@pytest.fixture
def tries(monkeypatch):
    """What has been performed so far, with pauses that are short."""
    done, perform = [], work.perform

    def counted(operation, context):
        done.append(operation)
        return perform(operation, context)

    monkeypatch.setattr(work, "perform", counted)
    monkeypatch.setattr(work, "PAUSES", (0.01, 0.01))
    monkeypatch.setattr(work, "FAR_PAUSE", 0.01)
    return done


@pytest.fixture
def in_the_way(tmp_path):
    """A file whose write raises, as it is not the kernel's; without it there is a reading."""
    path = tmp_path / "file"
    path.write_text("1")
    return path


def undoing(post, path, *, gone_is_fine=True):
    undo = WriteFile(path=str(path), value="0", gone_is_fine=gone_is_fine)
    return Work(Orders(role="undo", post=post, undo=(undo,)))


def begun(orders):
    """An undo that goes on, and what came of it."""
    ended = []
    thread = threading.Thread(target=lambda: ended.append(orders.undo()), daemon=True)
    thread.start()
    return thread, ended


def test_an_api_that_cannot_be_reached_is_asked_until_it_is(tries, in_the_way):
    thread, ended = begun(undoing(API, in_the_way))
    until(lambda: len(tries) > 20)
    assert not ended
    in_the_way.unlink()
    thread.join(5)
    ((readings, problem),) = ended
    assert not problem
    assert readings[0].ok


def test_why_it_has_to_be_tried_again_is_told_once(tries, in_the_way):
    told = []
    orders = undoing(API, in_the_way)
    thread = threading.Thread(target=lambda: orders.undo(on_trouble=told.append), daemon=True)
    thread.start()
    until(lambda: len(tries) > 20)
    in_the_way.unlink()
    thread.join(5)
    [problem] = told
    assert problem.startswith("write-file: ")


def test_what_somebody_else_changed_is_reported_soon_by_its_reason(tries, in_the_way):
    in_the_way.unlink()
    readings, problem = undoing(API, in_the_way, gone_is_fine=False).undo()
    assert len(tries) == 3
    assert readings[0].ok is False
    assert problem == readings[0].evidence


def test_an_api_that_is_reached_late_may_say_that_somebody_else_changed_it(tries, in_the_way):
    thread, ended = begun(undoing(API, in_the_way, gone_is_fine=False))
    until(lambda: len(tries) > 20)
    in_the_way.unlink()
    thread.join(5)
    ((_, problem),) = ended
    assert "is gone" in problem


def test_what_fails_beside_the_target_is_left_to_a_fresh_helper_soon(tries, in_the_way):
    _, problem = undoing(NEAR, in_the_way).undo()
    assert len(tries) == 3
    assert problem.startswith("write-file: ")


@pytest.fixture
def looks(monkeypatch):
    """What finding the container raises, look for look; after that it is found."""
    raising = []

    def find_stand(container):
        if raising:
            raise raising.pop(0)
        return Stand(container=container, pid=1)

    monkeypatch.setattr(work, "find_stand", find_stand)
    return raising


def test_a_target_that_cannot_be_found_for_a_moment_is_undone_at_the_next_look(tries, looks, tmp_path):
    looks += [
        FileNotFoundError("a cgroup went"),
        FileNotFoundError("a cgroup went"),
        ValueError("half a line"),
    ]
    told = []
    readings, problem = undoing(STANDING, tmp_path / "gone").undo(on_trouble=told.append)
    assert told == ["no way to the target: a cgroup went", "no way to the target: half a line"]
    assert not problem
    assert readings[0].ok
    assert len(tries) == 1


def test_a_target_that_cannot_be_found_at_all_is_reported_by_the_reason(tries, looks, tmp_path):
    looks += [PermissionError("not for you")] * 9
    assert undoing(STANDING, tmp_path / "gone").undo() == ((), "no way to the target: not for you")
    assert not tries


def test_what_is_to_be_done_to_a_target_that_cannot_be_found_is_not_begun(tries, looks, in_the_way):
    looks += [FileNotFoundError("a cgroup went")]
    begins = WriteFile(path=str(in_the_way), value="0")
    orders = Work(Orders(role="hand", post=STANDING, do=(begins,), undo=(begins,)))
    assert orders.do() == ((), "no way to the target: a cgroup went")
    assert orders.nothing_done
    assert not tries
