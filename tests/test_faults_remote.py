"""What faults of containers, pods and nodes compile to, and what they refuse before anything is touched."""

from __future__ import annotations

import json
import sys
from typing import Any

import msgspec
import pytest

from runner.errors import Refused
from runner.faults import KINDS, AnyFault
from runner.faults.answers import Dns, Http
from runner.faults.clock import Clock
from runner.faults.cpu import Cpu
from runner.faults.disk_fill import DiskFill
from runner.faults.io import Io
from runner.faults.kill import Kill
from runner.faults.links import Blackhole, Latency
from runner.faults.memory import Memory
from runner.faults.nodes import Cordon, DrainNode, Taint
from runner.faults.pause import Pause
from runner.faults.pids import Pids
from runner.faults.record import Fault, Instance, Pod, Steps
from runner.faults.workloads import Restart, Scale
from runner.helper.protocol import Report, line
from runner.operations.afar import Helper
from runner.operations.containers import LANDS
from runner.operations.record import Afar, AfarGone, Await, CheckAfar, DockerCall, KubeCall, WriteFile
from runner.places import Cluster, Engine, Post
from runner.remote.allowed import stranger_in

MIB = 1 << 20
ID = "c" * 64
ENGINE, CLUSTER = Engine(url="unix:///run/engine.sock"), Cluster(context="staging", uid="cluster-uid")
V1 = {
    "cpu.cfs_quota_us": "-1", "cpu.cfs_period_us": "100000", "memory.limit_in_bytes": "9223372036854771712",
    "blkio.throttle.read_bps_device": "8:0 5000000", "blkio.throttle.write_bps_device": "", "pids.max": "max",
    "freezer.state": "THAWED", "cgroup.freeze": "0", "pids.current": "7", "disks": "8:0 8:16",
}  # fmt: skip
V2 = {
    "cpu.max": "max 100000", "memory.max": "max", "memory.high": "max", "io.max": "8:0 rbps=max wbps=max riops=max wiops=900",
    "pids.max": "500", "cgroup.freeze": "0", "pids.current": "7", "disks": "8:0",
}  # fmt: skip
FAULTS: list[Fault] = [
    Kill(), Pause(), Cpu(limit=0.2), Memory(limit=64 * MIB), Io(read=1e6, write=2e6), Pids(headroom=3), DiskFill(share=0.9),
    Restart(), Scale(replicas=1), Cordon(), DrainNode(), Taint(),
]  # fmt: skip


def container(files: dict[str, str] | None = None, **changes: Any) -> Instance:
    facts: dict[str, Any] = {
        "target": "shop", "name": "shop.0", "platform": "container", "engine": ENGINE, "container": ID,
        "started": "2026-01-01T00:00:00Z", "cores": 2.0, "held": 20 * MIB, "cgroup_files": V2 if files is None else files,
        "post": Post(engine=ENGINE, image="squall", container=ID),
    }  # fmt: skip
    return Instance(**(facts | changes))


def pod(files: dict[str, str] | None = None, workload: str = "deployment/web", **changes: Any) -> Instance:
    owned = {"workload": workload, "workload_uid": "web-uid", "replicas": 3} if workload else {}
    there = Pod(cluster=CLUSTER, namespace="shop", name="web-1", uid="pod-uid", node="node-1", **owned)
    facts: dict[str, Any] = {
        "target": "shop", "name": "shop.0", "platform": "pod", "container": ID, "pod": there, "cores": 2.0, "held": 20 * MIB,
        "cgroup_files": V2 if files is None else files,
        "post": Post(cluster=CLUSTER, image="squall", container=ID, namespace="squall", node="node-1"),
        "reverter": Post(cluster=CLUSTER, image="squall", namespace="squall", service_account="reverter"),
    }  # fmt: skip
    return Instance(**(facts | changes))


def node(**changes: Any) -> Instance:
    there = Pod(cluster=CLUSTER, node="node-1", node_uid="node-uid", **changes)
    return Instance(
        target="nodes",
        name="nodes.0",
        platform="node",
        pod=there,
        reverter=Post(cluster=CLUSTER, image="squall", namespace="squall", service_account="reverter"),
    )


def for_(fault: Fault) -> Instance:
    """An instance that the fault can have."""
    kinds = {"container": container, "pod": pod, "node": node}
    return next(make() for platform, make in kinds.items() if platform in fault.platforms)


def afar(steps: Steps) -> Afar:
    (found,) = (each for each in steps.do if isinstance(each, Afar))
    return found


every_fault = pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: str(fault.__struct_config__.tag))


def test_every_kind_that_needs_more_than_this_machine_is_tested_here():
    elsewhere = {name for name, kind in KINDS.items() if kind.platforms & {"container", "pod", "node"}}
    named = {str(fault.__struct_config__.tag) for fault in FAULTS} | {"clock", "command"}
    network = {
        "latency",
        "bandwidth",
        "blackhole",
        "reset",
        "refuse",
        "loss",
        "corrupt",
        "duplicate",
        "reorder",
    }
    network |= {"partition", "dns", "http"}
    assert elsewhere - network <= named


@every_fault
def test_it_compiles_to_what_the_journal_can_store(fault):
    steps = fault.compile(for_(fault))
    assert steps.do
    assert steps.confirm
    assert msgspec.json.decode(msgspec.json.encode(steps), type=Steps) == steps
    assert msgspec.json.decode(msgspec.json.encode(fault), type=AnyFault) == fault
    assert fault.does()


NETWORK: list[Fault] = [Latency(delay=0.1), Blackhole(), Dns(), Http(port=8080, abort=True)]
SIGKILL: Fault = Kill(how="sigkill", restart="never")
UIDS = ("", "12345678-1234-1234-1234-123456789abc", "0123456789abcdef0123456789abcdef")


@pytest.mark.parametrize("files", [V1, V2], ids=["v1", "v2"])
@pytest.mark.parametrize("fault", [*FAULTS, *NETWORK, SIGKILL], ids=str)
def test_a_record_of_its_undo_in_a_cluster_is_performed(fault, files):
    kernel = ("nft-owner", "nft-timeout", "netem", "ifb")
    instance = pod(files, kernel=kernel) if "pod" in fault.platforms else node()
    for undo in fault.compile(instance).undo:
        for uid in UIDS if isinstance(undo, AfarGone) else ():
            post = msgspec.structs.replace(undo.post, pod=uid)
            assert stranger_in(msgspec.structs.replace(undo, post=post)) == ""


_seen: list[str] = []
_watching: list[bool] = []
sys.addaudithook(lambda event, _: _seen.append(event) if _watching else None)


@every_fault
def test_compiling_touches_nothing(fault):
    instance = for_(fault)
    _seen.clear()
    _watching.append(True)
    try:
        fault.compile(instance)
    finally:
        _watching.pop()
    assert not _seen


@every_fault
def test_a_platform_that_cannot_have_it_is_refused_with_a_sentence(fault):
    others = {"container": container, "pod": pod, "node": node}
    for platform in others.keys() - fault.platforms:
        with pytest.raises(Refused, match=f"^{others[platform]().name}: .* needs a "):
            fault.compile(others[platform]())


@pytest.mark.parametrize("make", [container, pod])
@pytest.mark.parametrize(
    "fault", [fault for fault in FAULTS if "container" in fault.platforms][1:-1], ids=str
)
def test_what_lasts_at_a_container_is_held_by_helpers_and_ends_by_itself(make, fault):
    steps = fault.compile(make())
    assert steps.expiry
    (do,), (undo,), (confirm,) = steps.do, steps.undo, steps.confirm
    assert isinstance(do, Afar)
    assert isinstance(undo, AfarGone)
    assert isinstance(confirm, CheckAfar)
    assert do.undo == undo.undo
    assert do.post == undo.post == confirm.post
    assert do.post.shape == ("disk" if isinstance(fault, DiskFill) else "cgroup")


def test_without_a_helper_a_lasting_fault_is_refused():
    with pytest.raises(Refused, match="give the environment a `helper`"):
        Pause().compile(container(post=None))
    with pytest.raises(Refused, match="give the environment a `helper`"):
        Scale(replicas=1).compile(pod(reverter=None))


# --- limits ----------------------------------------------------------------------------------------------------------


def written(steps: Steps) -> list[tuple[str, str, str, str]]:
    """What is written, where, and where it has to be undone to."""
    found = []
    for do, undo in zip(afar(steps).do, reversed(afar(steps).undo), strict=True):
        assert isinstance(do, WriteFile)
        assert isinstance(undo, WriteFile)
        assert (do.path, do.key, do.value, do.expect) == (undo.path, undo.key, undo.expect, undo.value)
        assert undo.gone_is_fine
        found.append((do.path, do.key, str(do.expect), do.value))
    return found


@pytest.mark.parametrize(
    ("fault", "files", "wanted"),
    [
        (Pause(), V1, [("freezer.state", "", "THAWED", "FROZEN")]),
        (Pause(), V2, [("cgroup.freeze", "", "0", "1")]),
        (Cpu(limit=0.2), V1, [("cpu.cfs_quota_us", "", "-1", "40000")]),
        (Cpu(limit=0.2), V2, [("cpu.max", "", "max 100000", "40000 100000")]),
        (Memory(limit=64 * MIB), V1, [("memory.limit_in_bytes", "", "9223372036854771712", str(64 * MIB))]),
        (Memory(limit=64 * MIB), V2, [("memory.max", "", "max", str(64 * MIB))]),
        (Memory(limit=8 * MIB), V2, [("memory.high", "", "max", str(8 * MIB))]),
        (Memory(limit=100_000_000), V2, [("memory.max", "", "max", str(1525 * 65536))]),
        (Memory(limit=9_000_000), V2, [("memory.high", "", "max", str(137 * 65536))]),
        (Pids(headroom=3), V1, [("pids.max", "", "max", "10")]),
        (Pids(headroom=3), V2, [("pids.max", "", "500", "10")]),
        (
            Io(read=1e6, write=2e6),
            V1,
            [
                ("blkio.throttle.read_bps_device", "8:0", "5000000", "1000000"),
                ("blkio.throttle.write_bps_device", "8:0", "0", "2000000"),
                ("blkio.throttle.read_bps_device", "8:16", "0", "1000000"),
                ("blkio.throttle.write_bps_device", "8:16", "0", "2000000"),
            ],
        ),
        (Io(write=2e6), V2, [("io.max", "8:0", "rbps=max wbps=max riops=max wiops=900", "rbps=max wbps=2000000 riops=max wiops=900")]),
    ],
)  # fmt: skip
def test_each_version_of_cgroups_gets_its_own_file_and_its_old_value_back(fault, files, wanted):
    assert written(fault.compile(container(files))) == [(f"cgroup:/{name}", *rest) for name, *rest in wanted]


@pytest.mark.parametrize(
    ("fault", "files", "path", "keys"),
    [
        (
            Memory(limit=64 * MIB),
            V1,
            "cgroup:/memory.stat",
            ("total_rss", "total_shmem", "total_unevictable"),
        ),
        (
            Memory(limit=64 * MIB),
            V2,
            "cgroup:/memory.stat",
            ("anon", "shmem", "unevictable", "slab_unreclaimable", "kernel_stack", "pagetables"),
        ),
        (Pids(headroom=3), V2, "cgroup:/pids.current", ()),
    ],
)
def test_a_limit_that_would_harm_at_once_is_compared_with_what_is_held_when_it_is_set(
    fault, files, path, keys
):
    (do,), undo = afar(fault.compile(container(files))).do, afar(fault.compile(container(files))).undo
    assert (do.held.path, do.held.keys) == (path, keys)
    assert all(each.held is None for each in undo), "the way back is never barred"


def test_a_limit_that_only_slows_down_may_lie_below_what_is_held():
    (do,) = afar(Memory(limit=8 * MIB).compile(container(V2))).do
    assert (do.path, do.held) == ("cgroup:/memory.high", None)


@pytest.mark.parametrize(
    ("fault", "instance", "sentence"),
    [
        (Cpu(limit=0.2), container({}), "needs the file cpu.max or cpu.cfs_quota_us"),
        (Cpu(limit=0.2, by="signals"), container(), "by: signals is for a process"),
        (Memory(ballast=64 * MIB), pod(), "a pod can have a limit"),
        (Memory(limit=64 * MIB, by="prlimit"), container(), "by: prlimit is for a process"),
        (Memory(limit=8 * MIB), container(V1), "holds 20MiB now"),
        (Memory(limit=64 * MIB), container(V2 | {"memory.max": str(32 * MIB)}), "has a limit of 32MiB already"),
        (Pause(), container(V1 | {"freezer.state": "FROZEN"}), "is frozen already"),
        (Pause(), container(V1 | {"freezer.state": "FREEZING"}), "is frozen already"),
        (Pause(), pod(V2 | {"cgroup.freeze": "1"}), "is frozen already"),
        (Pids(headroom=600), container(), "may have 500 at most already"),
        (Io(read=1e6), container(V2 | {"disks": ""}), "no disk of its machine"),
        (Kill(how="evict"), container(), "how: evict is for a pod; a container can have kill, stop, rm"),
        (Kill(how="stop"), pod(), "how: stop is for a container; a pod can have delete, evict, sigkill"),
        (Kill(), pod(workload=""), "has no controller, so nobody may bring it back; write restart: never"),
        (Kill(), pod(workload="job/import"), "is owned by job/import, which Squall cannot await"),
        (Restart(), pod(workload=""), "is owned by nothing"),
        (Scale(replicas=3), pod(), "asks for 3 replicas already"),
        (Scale(replicas=2), pod(workload="daemonset/agent"), "no number to change"),
        (Cordon(), node(unschedulable=True), "is cordoned already"),
        (DrainNode(), node(unschedulable=True), "is cordoned already"),
        (Taint(), node(taints='[{"key": "squall", "effect": "NoSchedule", "value": "x"}]'), "has a taint squall:NoSchedule"),
        (Clock(skew=60.0), container(), "no safe way to skew the clock"),
    ],
)  # fmt: skip
def test_what_cannot_be_had_is_refused_with_a_sentence(fault, instance, sentence):
    with pytest.raises(Refused, match=sentence):
        fault.compile(instance)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Kill(how="rm"), "how: rm removes the container"),
        (Io, "give read, write or both"),
        (lambda: Io(read=12.0), "read is 12B/s; it must be at least 4KiB/s"),
        (lambda: Pids(headroom=-1), "headroom is -1"),
        (lambda: DiskFill(share=0.0), "share is 0%"),
        (lambda: DiskFill(share=0.5, folder="data"), "folder must be a full path"),
        (lambda: DiskFill(share=0.5, folder="/data/../etc"), "folder must be a full path"),
        (lambda: Scale(replicas=-1), "replicas is -1"),
        (lambda: Taint(key="-x"), "key must be the name of a taint"),
    ],
)
def test_a_knob_out_of_range_is_a_sentence(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


@pytest.mark.parametrize("platform", ["process", "container", "pod"])
def test_a_plan_can_ask_whether_the_knobs_suit_before_there_are_facts(platform):
    assert not Kill().unsuited(platform)
    assert Kill(how="rm", restart="never").unsuited(platform) == "" if platform == "container" else True
    assert Clock(skew=1.0).unsuited(platform)


# --- life ------------------------------------------------------------------------------------------------------------


def test_a_container_is_killed_in_the_life_that_was_meant_and_started_again():
    steps = Kill().compile(container())
    (do,), (undo,) = steps.do, steps.undo
    assert isinstance(do, DockerCall)
    assert isinstance(undo, DockerCall)
    assert (do.verb, do.container, do.started) == ("kill", ID, "2026-01-01T00:00:00Z")
    assert (undo.verb, undo.started) == ("start", "")
    assert Kill(how="stop").compile(container()).do[0].verb == "stop"
    assert Kill(restart="never").compile(container()).undo == ()
    gone = Kill(how="rm", restart="never").compile(container())
    assert (gone.do[0].verb, gone.undo, gone.confirm[0].expect) == ("remove", (), "gone")


@pytest.mark.parametrize("fault", [Kill(how="stop"), Restart()])
def test_what_an_engine_goes_on_with_when_its_caller_is_gone_is_waited_for_twice_within_the_deadline(fault):
    steps = fault.compile(container())
    assert steps.undo[0].started == steps.do[0].started, "the undo knows the life that is to end"
    assert steps.deadline > 2 * LANDS, "at once, and once more when the hand is surely gone"


@pytest.mark.parametrize("how", ["auto", "kill", "stop"])
def test_a_container_that_its_engine_removes_is_not_killed_where_it_is_wanted_back(how):
    with pytest.raises(
        Refused, match=r"shop.0: its engine removes the container web-1 .*; add restart: never"
    ):
        Kill(how=how).compile(container(known_as="web-1", vanishes=True))
    steps = Kill(how=how, restart="never").compile(container(vanishes=True))
    assert (steps.do[0].gone_is_fine, steps.undo, steps.confirm[0].expect) == (True, (), "ended")
    assert not Kill(how=how).compile(container()).do[0].gone_is_fine


@pytest.mark.parametrize("fault", [Kill, Restart])
def test_how_long_a_pod_is_awaited_can_be_said(fault):
    steps = fault(back_within=300).compile(pod())
    (undo,) = steps.undo
    assert (undo.within, steps.deadline) == (300, 305)
    assert fault(back_within=300).compile(container()) == fault().compile(container())
    for wrong in (0, 3601):
        with pytest.raises(ValueError, match="between 1s and 1h"):
            fault(back_within=wrong)


def test_who_is_not_awaited_is_not_awaited_for_a_while():
    with pytest.raises(ValueError, match="awaits nobody"):
        Kill(restart="never", back_within=300)


def test_three_ways_to_kill_a_pod_are_three_different_things():
    delete, evict, sigkill = (Kill(how=how).compile(pod()) for how in ("delete", "evict", "sigkill"))
    assert Kill().compile(pod()) == delete
    for steps, verb, end in ((delete, "delete-pod", "gone"), (evict, "evict-pod", "ending")):
        (do,) = steps.do
        assert isinstance(do, KubeCall)
        assert (do.verb, do.name, do.uid, do.namespace) == (verb, "web-1", "pod-uid", "shop")
        (undo,) = steps.undo
        assert isinstance(undo, Await)
        assert (undo.check.expect, undo.check.kind, undo.check.uid) == ("back", "deployment", "web-uid")
        assert undo.within < steps.deadline
        assert steps.confirm[0].expect == end
    assert afar(sigkill).do[0].signal == "KILL"
    assert afar(sigkill).post.shape == "process"
    assert isinstance(sigkill.undo[0], AfarGone)
    assert (sigkill.undo[1].check.kind, sigkill.undo[1].check.uid) == ("pod", "pod-uid")


def test_a_pod_that_nobody_brings_back_is_killed_only_where_that_is_wanted():
    assert Kill(restart="never").compile(pod(workload="")).undo == ()


def test_a_restart_is_the_engine_s_or_a_rollout_of_the_whole_workload():
    assert Restart().compile(container()).do[0].verb == "restart"
    steps = Restart().compile(pod())
    (do,), (undo,) = steps.do, steps.undo
    assert (do.verb, do.kind, do.name, do.uid) == ("restart", "deployment", "web", "web-uid")
    assert (undo.check.expect, undo.check.name) == ("ready", "web")
    assert Restart.of_workload
    assert Restart.recovers_from == DrainNode.recovers_from == Kill.recovers_from == "injection"


# --- the cluster's own -----------------------------------------------------------------------------------------------


def test_replicas_go_back_to_the_old_number_by_a_helper_in_the_cluster():
    there = afar(Scale(replicas=1).compile(pod()))
    (do,), (undo,) = there.do, there.undo
    assert (there.post.shape, there.post.service_account) == ("api", "reverter")
    assert (do.verb, do.name, do.value, do.expect) == ("scale", "web", "1", "3")
    assert (undo.verb, undo.name, undo.value, undo.expect) == ("scale", "web", "3", "1")
    assert do.cluster == Cluster(kubeconfig="in-cluster", uid="cluster-uid")
    assert Scale.of_workload


def test_a_node_is_closed_and_opened_exactly():
    for fault in (Cordon(), DrainNode()):
        there = afar(fault.compile(node()))
        assert (there.do[0].value, there.do[0].expect) == ("true", "false")
        (undo,) = there.undo
        assert (undo.verb, undo.name, undo.uid, undo.value, undo.expect) == (
            "cordon",
            "node-1",
            "node-uid",
            "false",
            "true",
        )
    assert Cordon.property == DrainNode.property


def test_a_taint_is_taken_away_alone():
    there = afar(
        Taint(value="yes", effect="NoExecute").compile(
            node(taints='[{"key": "gpu", "effect": "NoSchedule"}]')
        )
    )
    (do,), (undo,) = there.do, there.undo
    assert json.loads(do.value) == {"key": "squall", "value": "yes", "effect": "NoExecute"}
    assert (undo.value, undo.expect) == ("", do.value)


@pytest.mark.parametrize("at_once", [True, False])
def test_why_a_helper_failed_is_known_however_soon_it_says_farewell(at_once):
    """Both of its reports may have arrived before anybody listens."""

    class Said:
        def lines(self):
            return said.pop(0) if said else []

    failed = Report(state="failed", problem="nonsense was refused")
    farewell = Report(state="clean", why="failed")
    each = [[line(failed)], [line(farewell)]]
    said = [[*each[0], *each[1]]] if at_once else each
    helper = Helper("hand", "x", Said())
    for _ in range(2):
        assert helper.trouble() == "hand: nonsense was refused"
