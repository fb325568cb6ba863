"""Faults of packets, names and requests: compiled purely for every platform, and felt on real containers."""

from __future__ import annotations

import contextlib
import time

import msgspec
import pytest

from runner.errors import Refused
from runner.faults import KINDS
from runner.faults.answers import Dns, Http
from runner.faults.links import Bandwidth, Blackhole, Latency, Refuse, Reset, SlowClose
from runner.faults.network import Corrupt, Duplicate, Loss, Partition, Reorder
from runner.faults.record import Instance
from runner.operations.record import (
    Afar,
    AfarGone,
    CheckAfar,
    CheckNetem,
    Cut,
    Netem,
    NetemGone,
    Operation,
    Serve,
)
from runner.places import Engine, Post
from tests.afar_parts import Holder
from tests.cluster_parts import container, until
from tests.helper_image import build

ALL = ("netem", "tbf", "ifb", "nft-owner", "nft-timeout", "cgroup-v2")
FAULTS = [
    Latency(delay=0.08),
    Bandwidth(rate=1e6),
    Blackhole(),
    Reset(),
    Refuse(),
    Loss(share=0.1),
    Corrupt(share=0.1),
    Duplicate(share=0.1),
    Reorder(share=0.25),
    Partition(),
    Dns(),
    Http(port=8080, status=503),
]


def there(platform="container", **more) -> Instance:
    wire = {"peers": ("10.0.0.7", "10.0.0.8"), "port": 5432} if platform == "wire" else {}
    post = Post(engine=Engine(), image="any", container="c" * 64)
    known = {"post": post, "kernel": ALL} | wire | more
    return Instance(target="shop", name="shop.0", platform=platform, **known)


def done_by(steps) -> Operation:
    (afar,) = steps.do
    assert isinstance(afar, Afar)
    (operation,) = afar.do
    return operation


@pytest.mark.parametrize("platform", ["container", "pod", "wire"])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__struct_config__.tag)
def test_a_helper_does_undoes_and_confirms(fault, platform):
    if platform not in fault.platforms:
        with pytest.raises(Refused):
            fault.compile(there(platform))
        return
    steps = fault.compile(there(platform))
    (undo,), (confirm,) = steps.undo, steps.confirm
    assert steps.expiry
    assert isinstance(undo, AfarGone)
    assert isinstance(confirm, CheckAfar)
    assert undo.undo == steps.do[0].undo
    assert steps.do[0].confirm
    assert steps.do[0].post.shape == "network"
    assert fault.does()
    assert msgspec.json.decode(msgspec.json.encode(steps.do[0]), type=Operation) == steps.do[0]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__struct_config__.tag)
def test_what_the_kernel_there_lacks_is_refused_before_anything_is_touched(fault):
    with pytest.raises(Refused, match="which the kernel there lacks"):
        fault.compile(there(kernel=("cgroup-v2",)))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__struct_config__.tag)
def test_a_network_that_others_use_too_is_left_alone(fault):
    with pytest.raises(Refused, match="the network of the host"):
        fault.compile(there(shared_network="the host"))


def test_one_tree_and_one_table_have_one_owner_each():
    owners = {str(fault.__struct_config__.tag): fault.owns("container") for fault in FAULTS}
    shape = {kind for kind, owner in owners.items() if owner == "network shape"}
    assert shape == {"latency", "bandwidth", "loss", "corrupt", "duplicate", "reorder"}
    assert {kind for kind, owner in owners.items() if owner == "network cut"} == {
        "blackhole", "reset", "refuse", "partition",
    }  # fmt: skip
    assert owners["dns"] == "network dns"
    assert Http(port=80, abort=True).owns("pod") != Http(port=81, abort=True).owns("pod")
    assert Latency(delay=0.1).owns("link") == "latency"


@pytest.mark.parametrize(
    ("platform", "direction", "way"),
    [
        ("container", "down", "out"), ("container", "up", "in"), ("pod", "both", "both"),
        ("wire", "down", "in"), ("wire", "up", "out"), ("wire", "both", "both"),
    ],
)  # fmt: skip
def test_down_is_what_the_serving_end_sends(platform, direction, way):
    for fault in (Latency(delay=0.1, direction=direction), Loss(share=0.5, direction=direction)):
        netem = done_by(fault.compile(there(platform)))
        assert isinstance(netem, Netem)
        assert netem.match.direction == way
        wire = (("10.0.0.7", "10.0.0.8"), (5432,)) if platform == "wire" else ((), ())
        assert (netem.match.peers, netem.match.ports) == wire


def test_knobs_reach_the_operations():
    cut = done_by(Partition(peers=("10.0.0.0/8",), ports=(53,), local_ports=(80,)).compile(there()))
    assert isinstance(cut, Cut)
    assert (cut.match.peers, cut.match.ports, cut.match.local_ports, cut.match.direction) == (
        ("10.0.0.0/8",), (53,), (80,), "both",
    )  # fmt: skip
    assert done_by(Blackhole(share=0.3).compile(there())).of == "connections"
    assert done_by(Reset().compile(there())).how == "reset"
    assert done_by(Refuse().compile(there())).how == "reject"
    shaped = Latency(delay=0.1, jitter=0.02, distribution="pareto", share=0.5).compile(there())
    assert (done_by(shaped).jitter, done_by(shaped).distribution, done_by(shaped).share) == (
        0.02,
        "pareto",
        0.5,
    )
    assert shaped.do[0].undo == (NetemGone(),)
    (check,) = Loss(share=0.1).compile(there()).do[0].confirm
    assert isinstance(check, CheckNetem)
    assert check.losses
    served = done_by(Dns(names=("db*",), answer="timeout").compile(there()))
    assert isinstance(served, Serve)
    assert (served.names, served.answer, served.port) == (("db*",), "timeout", 53)


@pytest.mark.parametrize(
    ("fault", "platform", "says"),
    [
        (Latency(delay=0.1, peers=("10.0.0.1",)), "link", "one way already"),
        (Latency(delay=0.1, ports=(80,)), "wire", "its peers and port already"),
        (Latency(delay=0.1, share=0.5, direction="up"), "container", "direction: down"),
        (Latency(delay=0.1, share=0.5), "wire", "direction: up"),
        (Latency(delay=600), "pod", "at most 1m"),
        (Bandwidth(rate=1.0, direction="up"), "link", "both directions"),
        (Reset(after=1.0), "container", "leave out `after`"),
    ],
)
def test_knobs_that_cannot_be_had_there_are_said_beforehand(fault, platform, says):
    assert says in fault.unsuited(platform)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Loss(share=0.0), "more than 0%"),
        (lambda: Reorder(share=1.0), "nobody overtakes"),
        (lambda: Partition(peers=("db",)), "no address"),
        (lambda: Partition(peers=("-j",)), "no address"),
        (lambda: Blackhole(ports=(0,)), "no port"),
        (lambda: Dns(answer="no"), "write nxdomain"),
        (lambda: Http(port=80), "hurts nobody"),
        (lambda: Http(port=80, status=503, abort=True), "status or abort"),
        (lambda: Http(port=80, status=99), "200 to 599"),
    ],
)
def test_knobs_that_make_no_sense_are_refused(make, says):
    with pytest.raises(ValueError, match=says):
        make()


def test_every_kind_of_this_family_is_known():
    assert {str(fault.__struct_config__.tag) for fault in FAULTS} <= set(KINDS)
    assert SlowClose.platforms == {"link"}


# --- on real containers

PEER = "mkdir /w; echo yes >/w/item; exec httpd -f -p 8080 -h /w"


@pytest.fixture
def pair(engine):
    """A container, and a peer of it that answers at port 8080; both serve."""
    with contextlib.ExitStack() as stack:
        made = [stack.enter_context(container(engine, "sh", "-c", PEER)) for _ in range(2)]
        for each in made:
            each.reload()
        yield made


def address(made) -> str:
    return made.attrs["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]


def fetch(made, host, seconds=1):
    """What one request gives: the last line of its answer, or what went wrong."""
    request = f"printf 'GET /item HTTP/1.0\\r\\n\\r\\n' | nc -w {seconds} {host} 8080 2>&1"
    said = made.exec_run(["sh", "-c", request]).output.decode().strip()
    return "yes" if said.endswith("yes") else said


@pytest.fixture
def at_post(engine, pair):
    """Do what a fault compiles to on the first of the pair, as a hand does."""
    image, made = build(), []
    url = engine.api.base_url.replace("http+docker://localhost", "unix:///var/run/docker.sock")
    post = Post(engine=Engine(url=url), image=image, container=pair[0].id)

    def start(fault):
        instance = there(post=post, container=pair[0].id)
        (afar,) = fault.compile(instance).do
        made.append(Holder(afar.post, do=afar.do, undo=afar.undo, confirm=afar.confirm))
        assert made[-1].says().startswith("done"), made[-1].process.stdout.read()
        return made[-1]

    yield start
    for each in made:
        each.close()
        until(lambda each=each: each.gone().ok)


@pytest.mark.parametrize(
    ("make", "felt"),
    [
        (lambda peer: Partition(peers=(peer,)), "timed out"),
        (lambda peer: Blackhole(peers=(peer,)), "timed out"),
        (lambda peer: Refuse(ports=(8080,)), "refused"),
        (lambda peer: Reset(peers=(peer,)), "refused"),
    ],
)
def test_a_container_is_cut_and_heals_when_its_holder_is_killed(pair, at_post, make, felt):
    ours, theirs = pair
    assert fetch(ours, address(theirs)) == "yes"
    holder = at_post(make(address(theirs)))
    assert felt in fetch(ours, address(theirs))
    until(lambda: holder.check().ok)
    assert "struck" in holder.check().evidence
    begun = time.monotonic()
    holder.kill()
    until(lambda: fetch(ours, address(theirs)) == "yes")
    print(f"healed {time.monotonic() - begun:.2f} s after SIGKILL")
    until(lambda: holder.gone().ok)


def test_a_container_answers_wrongly_and_is_itself_again(pair, at_post):
    ours, theirs = pair
    holder = at_post(Http(port=8080, status=503, path="/item"))
    assert "503" in fetch(theirs, address(ours))
    until(lambda: holder.check().ok)
    holder.let_go()
    assert holder.says() == "released"
    assert fetch(theirs, address(ours)) == "yes"


def test_a_container_does_not_find_names_and_finds_them_again(pair, at_post):
    ours, _ = pair

    def look_up():
        return ours.exec_run(["nslookup", "db.shop.test", "192.0.2.1"]).output.decode()

    holder = at_post(Dns(names=("*.shop.test",), answer="203.0.113.9"))
    assert "203.0.113.9" in look_up()
    until(lambda: holder.check().ok)
    holder.kill()
    until(lambda: holder.gone().ok)


def test_a_kernel_without_netem_says_so_and_nothing_is_left(pair, at_post, engine):
    kernel = there().kernel
    assert "netem" in kernel
    with contextlib.suppress(AssertionError):
        holder = at_post(Latency(delay=0.2))
        until(lambda: holder.check().ok is not None, within=10)
        holder.let_go()
    assert fetch(pair[0], address(pair[1])) == "yes"
