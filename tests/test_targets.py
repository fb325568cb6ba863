"""Targets: the right processes, free ports, filled blanks, honest waiting."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runner.errors import Place, Refused
from runner.faults.record import Instance
from runner.processes import identify
from runner.scenario import Environment, Found, LinkSpec, Managed, Pick, Ready, TargetSpec
from runner.targets import (
    addresses,
    assign_ports,
    choose,
    facts,
    find,
    instance_names,
    link_spawn,
    port_is_free,
    spawns,
    wait_ready,
)
from runner.targets.upstreams import refuse_unknown_upstreams

PLACE = Place(file="local.yaml", line=3)


def target(name="shop", **parts) -> TargetSpec:
    return TargetSpec(name=name, place=PLACE, **parts)


def environment(*specs: TargetSpec, **more) -> Environment:
    return Environment(
        name="local", path="/somewhere/local.yaml", targets={spec.name: spec for spec in specs}, **more
    )


@pytest.fixture
def start():
    started: list[subprocess.Popen[bytes]] = []

    def start(*argv: str, **how) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen(argv, stdin=subprocess.DEVNULL, **how))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


@pytest.fixture
def sleeper(start):
    """A process that has begun to run its own program."""

    def sleeper(token: str, **how) -> subprocess.Popen[bytes]:
        program = "import sys, time; print('up', flush=True); time.sleep(60)"
        process = start(sys.executable, "-c", program, token, stdout=subprocess.PIPE, **how)
        assert process.stdout.readline() == b"up\n"
        return process

    return sleeper


def listener(start, host: str) -> tuple[int, int]:
    """Start a process that listens; its pid and port."""
    program = (
        "import socket, sys, time; s = socket.create_server((sys.argv[1], 0),"
        " family=socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET);"
        "print(s.getsockname()[1], flush=True); time.sleep(60)"
    )
    process = start(sys.executable, "-c", program, host, stdout=subprocess.PIPE)
    return process.pid, int(process.stdout.readline())


# --- finding ---------------------------------------------------------------------------------------------------


def test_a_match_finds_every_process_oldest_first(sleeper):
    token = f"squall-target-{time.monotonic_ns()}"
    pids = [sleeper(token).pid for _ in range(2)]
    assert [process.pid for process in find(Found(match=token))] == pids


def test_a_match_never_finds_the_asking_process_nor_its_ancestors(sleeper):
    token = f"squall-target-{time.monotonic_ns()}"
    program = "import sys; from runner.targets import find; from runner.scenario import Found\n"
    program += "print([p.pid for p in find(Found(match=sys.argv[1]))])"
    other = sleeper(token)
    asked = subprocess.run(
        ["sh", "-c", f'"$0" -c "$1" {token}; true', sys.executable, program],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    assert asked.stdout.strip() == f"[{other.pid}]", asked.stderr


def test_a_match_never_finds_what_a_run_started(sleeper):
    token = f"squall-target-{time.monotonic_ns()}"
    sleeper(token, env={**os.environ, "SQUALL_RUN": "r1"})
    with pytest.raises(Refused, match="no process's command line matches"):
        find(Found(match=token))


def test_a_match_never_finds_another_squall_command(start):
    token = f"squall-target-{time.monotonic_ns()}"
    start(sys.executable, "-c", "import\ttime;time.sleep(60)", "-m", "runner.cli", "plan", token)
    with pytest.raises(Refused, match="no process's command line matches"):
        find(Found(match=token))


def test_a_match_that_is_no_regular_expression_is_refused_with_the_place():
    with pytest.raises(Refused, match=r"local.yaml:3: targets.shop: match: '\(' is no regular expression"):
        find(Found(match="("), "local.yaml:3: targets.shop")


def test_a_pidfile_names_its_process(sleeper, tmp_path):
    process = sleeper("x")
    (tmp_path / "shop.pid").write_text(f"{process.pid}\n")
    assert find(Found(pidfile=str(tmp_path / "shop.pid"))) == [identify(process.pid)]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("gone", "is stale: .* does not run; start the service"),
        ("me", "holds 'me'"),
        (None, "cannot be read"),
    ],
)
def test_a_useless_pidfile_is_refused_with_what_to_do(tmp_path, start, content, says):
    path = tmp_path / "shop.pid"
    if content == "gone":
        process = start("true")
        process.wait()
        content = str(process.pid)
    if content is not None:
        path.write_text(content)
    with pytest.raises(Refused, match=says):
        find(Found(pidfile=str(path)))


def test_a_pid_that_was_reused_after_the_pidfile_was_written_is_refused(sleeper, tmp_path):
    path = tmp_path / "shop.pid"
    path.write_text(str(sleeper("x").pid))
    os.utime(path, (time.time() - 3600,) * 2)
    with pytest.raises(Refused, match="is another process by now"):
        find(Found(pidfile=str(path)))


def test_a_pidfile_that_names_the_runner_itself_is_refused(tmp_path):
    path = tmp_path / "shop.pid"
    path.write_text(str(os.getpid()))
    with pytest.raises(Refused, match="which Squall itself runs in"):
        find(Found(pidfile=str(path)))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_port_finds_who_listens_there(start, host):
    pid, port = listener(start, host)
    assert [process.pid for process in find(Found(port=port))] == [pid]


def test_a_port_where_nobody_listens_is_refused():
    with socket.create_server(("127.0.0.1", 0)) as closing:
        port = closing.getsockname()[1]
    with pytest.raises(Refused, match=f"nobody listens on {port}"):
        find(Found(port=port))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user here")
@pytest.mark.parametrize("by", ["match", "port"])
def test_another_users_process_is_refused_with_the_permission_that_is_missing(start, sleeper, by):
    token = f"squall-target-{time.monotonic_ns()}"
    sleeper(token)
    _, port = listener(start, "127.0.0.1")
    found = Found(match=token) if by == "match" else Found(port=port)
    said = _as_nobody(found)
    assert "user root" in said
    assert "un Squall as that user" in said


def _as_nobody(found: Found) -> str:
    """What `find` says to a user without privileges."""
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            find(found)
            os.write(writable, b"found")
        except Refused as refused:
            os.write(writable, str(refused).encode())
        finally:
            os._exit(0)
    os.close(writable)
    with os.fdopen(readable) as answer:
        said = answer.read()
    os.waitpid(child, 0)
    return said


# --- facts -----------------------------------------------------------------------------------------------------


def test_facts_are_those_of_the_process(sleeper):
    process = sleeper("x")
    resource.prlimit(process.pid, resource.RLIMIT_DATA, (1 << 30, 1 << 31))
    os.sched_setaffinity(process.pid, {min(os.sched_getaffinity(0))})
    known = facts(Instance(target="shop", name="shop.0", process=identify(process.pid)))
    assert known.limits == {"AS": (-1, -1), "DATA": (1 << 30, 1 << 31)}
    assert 1 << 20 < known.held < 1 << 30
    assert known.cores == 1.0


def test_facts_of_a_process_that_is_gone_are_refused(start):
    process = start(sys.executable, "-c", "input()")
    gone = identify(process.pid)
    process.kill()
    process.wait()
    with pytest.raises(Refused, match=r"shop.0: process \d+ is gone"):
        facts(Instance(target="shop", name="shop.0", process=gone))


def test_a_cgroup_that_holds_us_is_never_a_targets_own(sleeper):
    process = sleeper("x")
    assert facts(Instance(target="shop", name="shop.0", process=identify(process.pid))).cgroup == ""


@pytest.fixture
def cgroup():
    root = next(
        (path for path in map(Path, ("/sys/fs/cgroup/cpu", "/sys/fs/cgroup")) if _has_cpu(path)), None
    )
    if root is None or not os.access(root, os.W_OK):
        pytest.skip("no writable cgroup with a CPU controller here")
    directory = root / f"squall-test-{os.getpid()}"
    try:
        directory.mkdir()
    except OSError as error:
        pytest.skip(f"cgroups cannot be made here: {error}")
    yield directory
    deadline = time.monotonic() + 5
    while directory.exists():  # busy as long as a process that died in it is not reaped
        try:
            for entry in (directory / "cgroup.procs").read_text().split():
                (root / "cgroup.procs").write_text(entry)
            directory.rmdir()
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def _has_cpu(path: Path) -> bool:
    return (path / "cpu.cfs_quota_us").exists() or "cpu" in _text(path / "cgroup.subtree_control").split()


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def test_a_cgroup_of_its_own_is_found_with_its_values_and_quota(sleeper, cgroup):
    process = sleeper("x")
    (cgroup / "cgroup.procs").write_text(str(process.pid))
    version = 2 if (cgroup / "cpu.max").exists() else 1
    if version == 1:
        (cgroup / "cpu.cfs_quota_us").write_text("50000")
    else:
        (cgroup / "cpu.max").write_text("50000 100000")
    known = facts(Instance(target="shop", name="shop.0", process=identify(process.pid)))
    assert (known.cgroup, known.cgroup_version) == (str(cgroup), version)
    assert known.cores == 0.5
    quota = known.cgroup_files["cpu.cfs_quota_us" if version == 1 else "cpu.max"]
    assert quota.split()[0] == "50000"


def test_a_cgroup_shared_with_a_stranger_or_with_another_instance_is_not_its_own(sleeper, cgroup):
    ours, other = sleeper("x"), sleeper("y")
    instance = Instance(target="shop", name="shop.0", process=identify(ours.pid))
    for process in (ours, other):
        (cgroup / "cgroup.procs").write_text(str(process.pid))
    assert facts(instance).cgroup == ""


def test_a_cgroup_shared_with_a_child_that_is_an_instance_too_is_not_its_own(start, cgroup):
    program = (
        "import subprocess, sys; c = subprocess.Popen(['sleep', '60']); print(c.pid, flush=True); c.wait()"
    )
    master = start(sys.executable, "-c", program, stdout=subprocess.PIPE)
    worker = int(master.stdout.readline())
    for pid in (master.pid, worker):
        (cgroup / "cgroup.procs").write_text(str(pid))
    instance = Instance(target="shop", name="shop.0", process=identify(master.pid))
    try:
        assert facts(instance).cgroup == str(cgroup)
        assert facts(instance, peers=[instance.process, identify(worker)]).cgroup == ""
    finally:
        os.kill(worker, 9)


# --- choosing --------------------------------------------------------------------------------------------------

NAMES = tuple(f"shop.{index}" for index in range(10))


def test_the_same_seed_chooses_the_same_and_another_seed_does_not_always():
    assert choose(Pick(count=3, seed=7), NAMES) == choose(Pick(count=3, seed=7), NAMES)
    assert len({choose(Pick(count=3, seed=seed), NAMES) for seed in range(20)}) > 5


def test_a_seed_means_the_same_instances_on_every_machine():
    assert choose(Pick(count=1, seed=0), ("shop.0", "shop.1", "shop.2")) == ("shop.0",)


@pytest.mark.parametrize(("share", "count"), [(0.3, 3), (0.29, 2), (0.01, 1), (1.0, 10)])
def test_a_share_is_rounded_down_but_at_least_one(share, count):
    assert len(choose(Pick(share=share), NAMES)) == count


def test_all_and_named_keep_the_order_of_the_target():
    assert choose(Pick(), NAMES) == NAMES
    assert choose(Pick(names=("shop.4", "shop.1")), NAMES) == ("shop.1", "shop.4")


@pytest.mark.parametrize(
    ("pick", "says"),
    [(Pick(names=("shop.x",)), "no instance is named shop.x"), (Pick(count=11), "11 instances are wanted")],
)
def test_a_pick_of_what_is_not_there_is_refused(pick, says):
    with pytest.raises(Refused, match=says):
        choose(pick, NAMES)


# --- ports and spawns ------------------------------------------------------------------------------------------


def web(**parts) -> Managed:
    return Managed(
        **({"command": ("python", "web.py", "--port", "$port"), "count": 2, "port": "auto"} | parts)
    )


def test_a_taken_port_is_refused_naming_target_port_and_owner(start):
    pid, port = listener(start, "127.0.0.1")
    with pytest.raises(
        Refused, match=rf"local.yaml:3: targets.shop: port {port} is already taken by .*\(pid {pid}\)"
    ):
        assign_ports(environment(target(managed=web(port=port))))
    assert not port_is_free("127.0.0.1", port)


def test_a_port_used_twice_in_one_environment_is_refused():
    port = free_port()
    specs = (
        target(managed=web(port=port, count=1)),
        target("store", link=LinkSpec(listen=f"127.0.0.1:{port}", upstream="a:1")),
    )
    with pytest.raises(Refused, match="is used twice, by shop and by store"):
        assign_ports(environment(*specs))


def test_auto_ports_differ_are_free_and_are_none_that_outgoing_connections_get():
    specs = target(managed=web(count=5)), target("store", link=LinkSpec(listen="127.0.0.1:0", upstream="a:1"))
    ports = assign_ports(environment(*specs))
    picked = [*ports["shop"], *ports["store"]]
    low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    assert len(set(picked)) == 6
    assert all(port_is_free("127.0.0.1", port) and not low <= port <= high for port in picked)


@pytest.mark.parametrize(
    ("listen", "says"),
    [
        ("nope.invalid:0", "the name nope.invalid is not known here; listen on an address"),
        (f"{'a' * 64}.invalid:0", "the name a*.invalid is not known here"),
        ("192.0.2.1:0", "192.0.2.1 is no address of this machine"),
        ("nope.invalid:8901", "the name nope.invalid is not known here"),
    ],
)
def test_a_link_that_cannot_listen_where_it_says_is_refused_with_cause_and_place_at_the_first_try(
    listen, says, monkeypatch
):
    asked = []
    look_up = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: asked.append(a) or look_up(*a, **k))
    with pytest.raises(Refused, match=f"local.yaml:3: targets.l: {says}"):
        assign_ports(environment(target("l", link=LinkSpec(listen=listen, upstream="a:1"))))
    assert len(asked) == 1


@pytest.mark.parametrize("host", ["nope.invalid", f"{'a' * 64}.invalid"])
def test_a_link_to_a_name_that_nobody_knows_is_refused_with_cause_and_place(host):
    spec = target("l", link=LinkSpec(listen="127.0.0.1:0", upstream=f"{host}:80"))
    with pytest.raises(
        Refused, match=rf"local.yaml:3: targets.l.link.upstream: the name {host} is not known here \(.+\); "
    ):
        refuse_unknown_upstreams(environment(spec))


@pytest.mark.parametrize("upstream", ["$store.address", "127.0.0.1:1", "[::1]:1", "localhost:1"])
def test_a_link_to_what_is_known_or_starts_later_is_not_refused(upstream):
    refuse_unknown_upstreams(environment(target("l", link=LinkSpec(listen="127.0.0.1:0", upstream=upstream))))


def test_a_port_that_only_the_url_names_is_the_first_instances():
    port = free_port()
    spec = target(url=f"http://127.0.0.1:{port}", managed=web(count=1, port=None))
    assert assign_ports(environment(spec)) == {"shop": (port,)}


def test_spawns_fill_ports_indices_and_addresses(tmp_path):
    shop = target(
        managed=web(command=("python", "w.py", "$port", "$index", "$store.address", "$shop.addresses", "$$5"))
    )
    store = target("store", link=LinkSpec(listen="127.0.0.1:8901", upstream="127.0.0.1:8900"))
    made = spawns(
        shop,
        environment=environment(shop, store, variables={"KEY": "SHOP_KEY"}),
        run="r1",
        logs=tmp_path,
        ports={"shop": (7001, 7002), "store": (8901,)},
    )
    addresses = "127.0.0.1:7001,127.0.0.1:7002"
    assert made[1].argv == (sys.executable, "w.py", "7002", "1", "127.0.0.1:8901", addresses, "$5")
    assert [spawn.instance for spawn in made] == ["shop.0", "shop.1"] == list(instance_names(shop))
    assert made[0].log == str(tmp_path / "shop.0.log")
    assert made[0].env["PYTHONUNBUFFERED"] == "1"
    assert made[0].env_from == ("SHOP_KEY",)
    assert (made[0].cwd, made[0].run) == ("/somewhere", "r1")


def test_an_unknown_name_in_a_command_is_refused_with_the_known_ones(tmp_path):
    spec = target(managed=web(command=("x", "$stroe.address")))
    ports = {"shop": (7001, 7002)}
    with pytest.raises(
        Refused, match=r"\$stroe.address is unknown here; known are \$index, \$port, \$shop.address"
    ):
        spawns(spec, environment=environment(spec), run="r", logs=tmp_path, ports=ports)


def test_a_link_is_a_proxy_of_ours_on_inherited_listeners(tmp_path):
    db = target("db", managed=web(count=1))
    store = target("store", link=LinkSpec(listen="127.0.0.1:8901", upstream="$db.address"))
    made = link_spawn(
        store,
        environment=environment(db, store),
        run="r1",
        logs=tmp_path,
        ports={"db": (7001,), "store": (8901,)},
        socket=tmp_path / "store.sock",
    )
    options = ("--link", "store", "--upstream", "127.0.0.1:7001", "--control", str(tmp_path / "store.sock"))
    assert made.argv == (sys.executable, "-P", "-m", "runner.links.proxy", *options)
    assert made.listeners == ("store", "lifeline")
    assert made.instance == "store"


def test_addresses_of_found_and_remote_targets_are_known_without_ports():
    assert addresses(target(found=Found(port=80)), {}) == ("127.0.0.1:80",)
    assert addresses(target(url="https://partner.example"), {}) == ("partner.example:443",)


# --- readiness -------------------------------------------------------------------------------------------------

SERVER = """
import http.server, sys
class Answer(http.server.BaseHTTPRequestHandler):
    asked = 0
    def do_GET(self):
        Answer.asked += 1
        self.send_response(503 if Answer.asked < 3 else 404)
        self.end_headers()
    def log_message(self, *args): pass
print('starting', flush=True)
http.server.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), Answer).serve_forever()
"""


def free_port() -> int:
    return assign_ports(environment(target(managed=web(count=1))))["shop"][0]


def ready(**how) -> TargetSpec:
    return target(managed=web(count=1, ready=Ready(**how)))


def test_ready_means_an_answer_below_500(start, tmp_path):
    port = free_port()
    process = start(sys.executable, "-c", SERVER, str(port), stdout=subprocess.DEVNULL)
    wait_ready(ready(http="/healthz"), [f"127.0.0.1:{port}"], lambda _: process.poll() is None, logs=tmp_path)
    with socket.create_connection(("127.0.0.1", port)):
        pass


def test_ready_by_tcp_waits_until_the_port_accepts(start, tmp_path):
    port = free_port()
    process = start(sys.executable, "-c", SERVER, str(port), stdout=subprocess.DEVNULL)
    wait_ready(ready(tcp=True), [f"127.0.0.1:{port}"], lambda _: process.poll() is None, logs=tmp_path)
    assert not port_is_free("127.0.0.1", port)


def test_a_process_that_dies_while_it_starts_is_refused_at_once_with_the_tail_of_its_log(start, tmp_path):
    with (tmp_path / "shop.0.log").open("wb") as log:
        process = start(sys.executable, "-c", "raise SystemExit('no database here')", stderr=log)
    began = time.monotonic()
    with pytest.raises(Refused, match=r"shop.0 ended while it started: no database here"):
        wait_ready(ready(tcp=True), ["127.0.0.1:1"], lambda _: process.poll() is None, logs=tmp_path)
    assert time.monotonic() - began < 8  # within: 10 s would be its deadline


def test_a_target_that_is_never_ready_is_refused_at_its_deadline(tmp_path):
    with pytest.raises(Refused, match=r"shop.0 was not ready within 0.2s .asked http://127.0.0.1:1/healthz"):
        wait_ready(ready(http="/healthz", within=0.2), ["127.0.0.1:1"], lambda _: True, logs=tmp_path)


def test_a_target_that_accepts_and_never_answers_is_refused_at_its_deadline(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(Refused, match="was not ready"):
            wait_ready(ready(http="/", within=0.3), [address], lambda _: True, logs=tmp_path)


def test_a_process_without_port_and_check_only_has_to_live(tmp_path):
    spec = target(managed=Managed(command=("sleep", "60")))
    wait_ready(spec, [], lambda _: True, logs=tmp_path)
    with pytest.raises(Refused, match="ended while it started"):
        wait_ready(spec, [], lambda _: False, logs=tmp_path)
