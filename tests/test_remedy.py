"""What a human is told to type is something that a shell can do, and spares what somebody else set."""

import re
import shlex
import subprocess

import pytest

from runner.guardian.remedy import remedy
from runner.operations.record import Act, AfarGone, WriteFile
from runner.places import Engine, Post

CONTAINER = "024709fcbd98" + "ab" * 26
POST = Post(engine=Engine(), image="i", shape="cgroup", container=CONTAINER)
OTHERS = "; any other value is somebody else's, and may be what is wanted"


def told(*writes, post=POST):
    gone = AfarGone(run="r", act="cpu/0/shop.0", post=post, lease=5.0, undo=writes)
    return remedy(
        Act(
            id="cpu/0/shop.0",
            fault="cpu",
            kind="cpu",
            instance="shop.0",
            owns="shop.0 cpu",
            do=(),
            undo=(gone,),
        )
    )


def quota(value="-1", expect="50000"):
    return WriteFile(path="cgroup:/cpu.cfs_quota_us", value=value, expect=expect, gone_is_fine=True)


def test_a_limit_of_a_container_is_mended_by_a_command_that_names_its_file():
    said = told(quota())
    assert "cgroup:/" not in said
    assert "on the machine of container 024709fcbd98 (unix:///var/run/docker.sock): " in said
    assert said.endswith(f"if it still reads 50000{OTHERS}")
    assert len(said) <= 600 - 40  # more is not shown; a run has a longer name


def test_a_limit_of_a_pod_is_mended_on_its_node():
    assert "container 024709fcbd98 (node-7): " in told(
        quota(), post=Post(image="i", node="node-7", container=CONTAINER)
    )


@pytest.mark.parametrize("folder", ["docker/{}", "system.slice/docker-{}.scope", "kubepods/pod7/{}"])
def test_the_command_writes_that_file_and_none_below_it(tmp_path, folder):
    own = tmp_path / "cpu,cpuacct" / folder.format(CONTAINER)
    other = tmp_path / "cpu,cpuacct" / "docker" / ("f" * 64)
    for directory in (own / "inner", other):
        directory.mkdir(parents=True)
    for directory in (own, own / "inner", other):
        (directory / "cpu.cfs_quota_us").write_text("50000\n")
    command = re.search(r"echo .*\)", told(quota()))[0].replace("/sys/fs/cgroup", shlex.quote(str(tmp_path)))
    subprocess.run(["bash", "-c", command], check=True)
    assert (own / "cpu.cfs_quota_us").read_text() == "-1\n"
    assert (own / "inner" / "cpu.cfs_quota_us").read_text() == "50000\n"
    assert (other / "cpu.cfs_quota_us").read_text() == "50000\n"


def test_a_line_of_a_file_is_mended_with_its_key():
    write = WriteFile(path="cgroup:/io.max", key="254:0", value="rbps=max", expect="rbps=9")
    assert "echo '254:0 rbps=max' > " in told(write)
    assert "if it still reads rbps=9 for 254:0" in told(write)


def test_a_file_here_is_named_as_it_is():
    write = WriteFile(path="/sys/fs/cgroup/x/cpu.max", value="max 100000", expect="5000 100000")
    made = Act(id="a", fault="cpu", kind="cpu", instance="shop.0", owns="cpu", do=(), undo=(write,))
    wanted = "undo a by hand: echo 'max 100000' > /sys/fs/cgroup/x/cpu.max if it still reads '5000 100000'"
    assert remedy(made) == wanted + OTHERS
