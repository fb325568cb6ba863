"""Helpers on an engine: whoever dies, falls silent or is removed, what was done at the target is undone."""

import subprocess
import sys
import uuid
from pathlib import Path

import msgspec
import pytest

from runner import cgroups
from runner.errors import OperationFailed
from runner.faults.pause import Pause
from runner.faults.record import Instance
from runner.helper import look
from runner.helper.posting import name_of
from runner.helper.protocol import Orders, Say, line, read_report
from runner.operations.record import (
    CheckTable,
    Cut,
    FillGone,
    Match,
    Run,
    TableGone,
    WriteFile,
)
from runner.places import Engine, Post
from tests.afar_parts import DO, RUN, UNDO, Holder, time_until
from tests.cluster_parts import container, gone
from tests.helper_image import build


@pytest.fixture(scope="module")
def image(engine):
    return build()


@pytest.fixture
def target(engine):
    with container(engine) as made:
        yield made


@pytest.fixture
def post(engine, image, target):
    return Post(
        engine=Engine(
            url=engine.api.base_url.replace("http+docker://localhost", "unix:///var/run/docker.sock")
        ),
        image=image,
        shape="cgroup",
        container=target.id,
    )


@pytest.fixture
def holder(post, engine):
    made = []

    def start(**knobs):
        made.append(Holder(knobs.pop("post", post), **knobs))
        return made[-1]

    yield start
    for each in made:
        each.close()
        for role in ("hand", "warden", "undo"):
            subprocess.run(["docker", "rm", "-f", each.name(role)], capture_output=True)


def limit(target):
    return cgroups.content(cgroups.of_container(target.id)["pids"] / "pids.max")


def hurt(target):
    return limit(target) == "77"


def is_frozen(target):
    directories = cgroups.of_container(target.id)
    if "freezer" in directories:
        return cgroups.content(directories["freezer"] / "freezer.state") == "FROZEN"
    return cgroups.content(directories["v2"] / "cgroup.freeze") == "1"


def there(name):
    return bool(subprocess.run(["docker", "ps", "-aq", "-f", f"name={name}"], capture_output=True).stdout)


def running(holder):
    assert holder.says().startswith("done")
    return holder


def none_left(holder):
    return not any(there(holder.name(role)) for role in ("hand", "warden", "undo", "look"))


def test_a_look_tells_what_the_kernel_can_do_and_what_limits_the_container(post, target):
    facts = look(post, (target.id, "f" * 64))
    assert list(facts.containers) == [target.id]
    seen = facts.containers[target.id]
    target.reload()
    assert seen.pid == target.attrs["State"]["Pid"]
    assert seen.files["pids.max"] == "max"
    assert facts.boot == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert {"cgroup-v1", "cgroup-v2"} & set(facts.kernel)


def test_it_is_held_confirmed_and_undone_when_let_go_of(holder, target):
    held = running(holder())
    assert hurt(target)
    assert held.check().ok is True
    held.let_go()
    reading = held.gone()
    assert reading.ok
    assert "hand helper undid it (when told)" in reading.evidence
    assert not hurt(target)
    assert none_left(held)


def test_it_heals_when_the_hand_of_the_guardian_is_killed(holder, target):
    held = running(holder())
    held.kill()
    took = time_until(lambda: not hurt(target))
    print(f"clean {took * 1000:.0f} ms after SIGKILL")
    assert took < 2
    reading = held.gone()
    assert "when we hung up" in reading.evidence
    assert none_left(held)


def test_it_heals_when_the_hand_of_the_guardian_is_stopped_for_longer_than_the_lease(holder, target):
    held = running(holder(lease=1.0))
    held.stop()
    assert time_until(lambda: not hurt(target)) < 3
    reading = held.gone()
    assert "when its lease was over" in reading.evidence
    assert none_left(held)


def test_the_warden_undoes_for_a_hand_that_was_removed(holder, target):
    held = running(holder())
    subprocess.run(["docker", "rm", "-f", held.name("hand")], capture_output=True, check=True)
    took = time_until(lambda: not hurt(target))
    print(f"clean {took * 1000:.0f} ms after the hand helper was removed")
    assert held.says().startswith("failed")
    reading = held.gone()
    assert "the warden undid it" in reading.evidence
    assert none_left(held)


def test_a_fresh_helper_undoes_when_both_were_removed(holder, target):
    held = running(holder())
    for role in ("hand", "warden"):
        subprocess.run(["docker", "rm", "-f", held.name(role)], capture_output=True, check=True)
    assert held.says().startswith("failed")
    reading = held.gone()
    assert "fresh helper" in reading.evidence
    assert not hurt(target)
    assert none_left(held)


@pytest.mark.long
def test_it_is_undone_when_everybody_is_killed_at_once(holder, target):
    held = running(holder())
    held.kill()
    for role in ("hand", "warden"):
        subprocess.run(["docker", "rm", "-f", held.name(role)], capture_output=True)
    assert held.gone().ok
    assert not hurt(target)
    assert none_left(held)


@pytest.mark.long
def test_a_paused_helper_is_removed_and_a_fresh_one_undoes(holder, target):
    held = running(holder(lease=1.0))
    for role in ("hand", "warden"):
        subprocess.run(["docker", "pause", held.name(role)], capture_output=True, check=True)
    held.kill()
    reading = held.gone()
    assert "fresh helper" in reading.evidence
    assert not hurt(target)
    assert none_left(held)


def test_a_signal_to_the_helper_undoes(holder, target):
    held = running(holder())
    subprocess.run(["docker", "kill", "-s", "TERM", held.name("hand")], capture_output=True, check=True)
    assert time_until(lambda: not hurt(target)) < 2
    assert held.says().startswith("failed")
    assert "signal" in held.gone().evidence


def test_a_target_that_is_gone_has_nothing_left_to_undo(holder, target):
    held = running(holder())
    gone(target)
    held.let_go()
    assert held.gone().ok
    assert none_left(held)


@pytest.mark.long
def test_a_target_that_was_started_again_is_clean(holder, target):
    held = running(holder())
    target.restart(timeout=0)
    held.let_go()
    assert held.gone().ok
    assert limit(target) == "max"
    assert none_left(held)


@pytest.mark.parametrize(("more", "why"), [(b"", "hung up"), (line(Say(say="undo")), "told")])
def test_what_was_called_off_before_it_began_is_never_done(post, target, more, why):
    """It takes a while until a helper runs: who gave the orders may be dead by then."""
    orders = Orders(role="hand", post=post, do=DO, undo=UNDO)
    helper = [sys.executable, "-m", "runner.helper"]
    done = subprocess.run(helper, input=line(orders) + more, capture_output=True, timeout=30)
    reports = [read_report(text) for text in done.stdout.splitlines()]
    assert [(report.state, report.why) for report in reports] == [("ready", ""), ("clean", why)], done
    assert not hurt(target)


def test_what_cannot_be_done_is_undone_and_says_why(holder, target):
    broken = (*DO, WriteFile(path="cgroup:/pids.max", value="nonsense"))
    held = holder(do=broken)
    assert "nonsense" in held.says()
    time_until(lambda: not hurt(target))
    assert held.gone().ok
    assert none_left(held)


def test_a_container_that_somebody_else_froze_stays_frozen(holder, post, target):
    """Its undo cannot tell whose freeze it is; so who was to do it tells that it did nothing, and nobody undoes it."""
    steps = Pause().compile(Instance(target="shop", name="shop.0", platform="container", engine=post.engine,
                                     container=target.id, post=post, cgroup_files=look(post, (target.id,)).containers[target.id].files))  # fmt: skip
    (do,), (undo,) = steps.do, steps.undo
    target.pause()
    try:
        held = holder(do=do.do, undo=undo.undo, confirm=do.confirm)
        said = held.says()
        assert "somebody else wrote it; left alone" in said, said
        subprocess.run(["docker", "wait", held.name("warden")], capture_output=True, timeout=20)
        assert is_frozen(target)
        assert "the hand helper did nothing" in held.gone().evidence
        assert none_left(held)
        assert is_frozen(target)
    finally:
        target.unpause()


@pytest.mark.long
def test_a_value_that_somebody_else_wrote_is_left_alone_and_reported(holder, target):
    held = running(holder())
    (cgroups.of_container(target.id)["pids"] / "pids.max").write_text("88")
    held.let_go()
    with pytest.raises(OperationFailed, match="somebody else"):
        held.gone()
    assert limit(target) == "88"


@pytest.mark.long
def test_an_undo_that_fails_at_first_is_tried_again(holder, target, tmp_path):
    attempts = Run(argv=("sh", "-c", "[ -e /proc/1/nonsense ] || [ $(($(date +%s) % 2)) = 0 ]"))
    held = running(holder(undo=(*UNDO, attempts)))
    held.let_go()
    assert held.gone().ok
    assert not hurt(target)


def test_an_engine_that_does_not_answer_is_never_clean(holder, post):
    held = running(holder())
    held.let_go()
    held.post = Post(
        engine=Engine(url="unix:///nowhere.sock"), image=post.image, shape="cgroup", container=post.container
    )
    with pytest.raises(OperationFailed):
        held.gone()


def test_a_helper_that_cannot_be_posted_says_so(holder, post):
    held = holder(
        post=Post(engine=post.engine, image="no-such-image:local", shape="cgroup", container=post.container)
    )
    assert "no helper could be posted" in held.says()


def test_a_helper_whose_other_cannot_be_posted_never_begins(holder, engine):
    act = uuid.uuid4().hex
    in_the_way = engine.containers.create("busybox:local", "true", name=name_of(RUN, act, "warden"))
    held = holder(act=act)
    assert "no helper could be posted" in held.says()
    in_the_way.remove()
    assert held.gone().evidence == "the hand helper never began"
    assert none_left(held)


def reaches(target, address):
    return target.exec_run(["ping", "-c1", "-W1", address]).exit_code == 0


@pytest.mark.parametrize("end", ["let_go", "kill", pytest.param("stop", marks=pytest.mark.long), "removed"])
def test_the_network_of_a_container_is_cut_and_heals(engine, holder, post, target, end):
    with container(engine) as peer:
        peer.reload()
        address = peer.attrs["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
        assert reaches(target, address)
        held = running(
            holder(
                post=msgspec.structs.replace(post, shape="network"),
                do=(Cut(table="squall_test", match=Match(direction="both")),),
                undo=(TableGone(table="squall_test"),),
                confirm=(CheckTable(table="squall_test"),),
                lease=1.0,
            )
        )
        assert not reaches(target, address)
        time_until(lambda: held.check().ok)
        if end == "removed":
            subprocess.run(["docker", "rm", "-f", held.name("hand")], capture_output=True, check=True)
        else:
            getattr(held, end)()
        time_until(lambda: reaches(target, address), within=5)
        assert held.gone().ok
        assert none_left(held)


@pytest.mark.long
def test_a_full_disk_of_a_container_that_does_not_run_is_never_clean(holder, post, target):
    post = msgspec.structs.replace(post, shape="disk")
    held = running(
        holder(
            post=post,
            do=(),
            undo=(FillGone(folder="/tmp", name="squall-test"),),
            confirm=(),
        )
    )
    target.kill()
    held.let_go()
    with pytest.raises(OperationFailed, match="start it"):
        held.gone()
    target.start()
    assert held.gone().ok
    assert none_left(held)
