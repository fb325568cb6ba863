"""The short form of the rollback matrix; the long one is `python -m tests.matrix --tries 20`."""

import random

import pytest

from tests.matrix.kinds import DOCKER, KUBERNETES
from tests.matrix.scenes import OnDocker, OnKubernetes
from tests.matrix.strikes import strike

pytestmark = [pytest.mark.torture, pytest.mark.timeout(150)]

CELLS = [
    (OnDocker, "blackhole", "runner SIGKILL"),
    (OnDocker, "cpu", "both SIGKILL"),
    (OnDocker, "pause", "helper deleted"),
    (OnDocker, "kill", "guardian SIGKILL"),
    (OnKubernetes, "blackhole", "both SIGKILL"),
    (OnKubernetes, "scale", "runner SIGKILL"),
]


@pytest.mark.parametrize(
    ("scene_of", "kind", "name"), CELLS, ids=lambda part: getattr(part, "platform", part)
)
def test_whoever_is_struck_the_target_is_as_before(engine, image, request, tmp_path, scene_of, kind, name):
    if scene_of is OnKubernetes:
        request.getfixturevalue("cluster")
    chosen = next(each for each in (KUBERNETES if scene_of is OnKubernetes else DOCKER) if each.name == kind)
    with scene_of(chosen, tmp_path) as scene:
        tries = strike([scene], name, random.Random(7))
        while not tries[-1].landed and len(tries) < 3:
            tries += strike([scene], name, random.Random(len(tries)))
    assert all(each.clean for each in tries), tries
    assert any(each.landed for each in tries), "no harm landed: nothing was shown"
