"""What `squall rollback --env` takes for a leftover on an engine, where a kubelet's containers are on it too."""

from runner.errors import Place
from runner.places import Engine
from runner.running import leftovers as running_leftovers
from runner.running.leftovers import leftovers
from runner.scenario import Containers, Environment, TargetSpec

HAND = {"squall.run": "r1", "squall.role": "hand"}
SPEC = TargetSpec(
    name="shop", place=Place(file="x.yaml", line=1), docker=Containers(engine=Engine(), name="s")
)


def listed(name, **labels):
    return {"Names": [f"/{name}"], "State": "running", "Labels": HAND | labels}


def test_the_containers_of_a_helper_pod_are_no_leftover_helpers_of_the_engine(monkeypatch):
    there = [
        listed("squall-r1-a1-hand"),
        listed("k8s_POD_squall-r1-a1-hand_squall_77_0"),
        listed("squall-r1-a2-hand", **{"io.kubernetes.pod.name": "squall-r1-a2-hand"}),
    ]

    class Client:
        def __init__(self, engine):
            pass

        def get(self, path, **query):
            return there

    monkeypatch.setattr(running_leftovers, "EngineClient", Client)
    found = leftovers(Environment(name="there", path="there.yaml", targets={"shop": SPEC}))
    assert [(each.run, each.name, each.lives) for each in found] == [("r1", "squall-r1-a1-hand", True)]
