"""Who comes while a fault lasts: joined as far as the environment allows, and never twice."""

import msgspec
import pytest

from runner.faults.record import Instance
from runner.running.newcomers import Newcomers
from runner.scenario import Limits


def pod(number, *, ready=True):
    return Instance(target="web", name=f"web.{number}", platform="pod", ready=ready)


class Room:
    """A target whose instances are said here."""

    def __init__(self, *numbers):
        self.pods = {f"uid-{number}": pod(number) for number in numbers}

    def present(self, _target):
        return dict(self.pods)

    def instance(self, name):
        raise NotImplementedError(name)

    def add(self, *numbers, ready=True):
        self.pods |= {f"uid-{number}": pod(number, ready=ready) for number in numbers}


@pytest.mark.parametrize(
    ("limits", "joined"),
    [
        (Limits(), ["web.4", "web.5", "web.6", "web.7"]),
        (Limits(pick=0.5), ["web.4", "web.5"]),  # 2 hurt of 8: half of them are 4
        (Limits(ready=5), ["web.4"]),
        (Limits(ready=7), []),
        (Limits(pick=0.25, ready=1), []),
    ],
)
def test_as_many_join_as_the_environment_allows(limits, joined):
    room = Room(0, 1, 2, 3)
    newcomers = Newcomers(room, "web", limits)
    assert newcomers.came() == []
    room.add(4, 5, 6, 7)
    came = newcomers.came()
    assert [one.name for one in came] == ["web.4", "web.5", "web.6", "web.7"]
    assert [one.name for one in newcomers.within_limits(came, {"web.0", "web.1"})] == joined
    assert newcomers.came() == []


def test_those_that_are_hurt_and_gone_leave_room_and_who_is_not_ready_does_not_count():
    room = Room(0, 1, 2, 3)
    newcomers = Newcomers(room, "web", Limits(pick=0.5))
    del room.pods["uid-0"], room.pods["uid-1"]  # the two that were hurt
    room.add(4, 5)
    room.add(6, ready=False)
    came = newcomers.came()
    assert [one.name for one in newcomers.within_limits(came, {"web.0", "web.1"})] == ["web.4", "web.5"]
    assert msgspec.structs.replace(pod(6), ready=False) in came


@pytest.mark.parametrize(
    ("limits", "joined"), [(Limits(pick=0.5), ["web.4"]), (Limits(ready=3), ["web.4"]), (Limits(ready=4), [])]
)
def test_those_that_are_not_ready_since_they_are_hurt_count_once(limits, joined):
    room = Room(0, 1, 2)
    room.add(3, ready=False)  # the one that was hurt
    newcomers = Newcomers(room, "web", limits)
    room.add(4)
    came = newcomers.came()
    assert [one.name for one in newcomers.within_limits(came, {"web.3"})] == joined


def test_a_target_of_which_nobody_is_left_has_no_newcomers():
    room = Room(0)
    newcomers = Newcomers(room, "web", Limits())
    room.pods.clear()
    assert newcomers.came() == []
    assert newcomers.within_limits([], set()) == []
