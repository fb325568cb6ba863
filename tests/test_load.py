"""Load from real workers against a real server: nothing lost, nothing hidden, nothing left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

from runner.clock import anchor, now
from runner.errors import Place, Refused
from runner.load import histogram
from runner.load.client import Crowd, TimedStage, classes_in
from runner.load.frames import ROW, SLOT, Chunk, Key, pack
from runner.load.schedule import due_times
from runner.processes import identify
from runner.scenario import Load
from tests.load_target import Target

PLAIN = """
from locust import {kind}, constant, task

class Visitor({kind}):
    wait_time = constant(0.01)

    @task
    def home(self):
        self.client.get("/home")
"""


@pytest.fixture
def target():
    server = Target()
    yield server
    server.close()


class Show:
    """A crowd and all it told."""

    def __init__(self, folder: Path, source: str, host: str | None, model: str = "users", **options) -> None:
        self.chunks: list[Chunk] = []
        self.packets: list[bytes] = []
        self.told = threading.Condition()
        self.ended = threading.Event()
        self.anchor = anchor()
        self.log = folder / "load.log"
        self.locustfile = folder / "locustfile.py"
        self.locustfile.write_text(source)
        variables = options.pop("variables", {})
        load = Load(
            name="main",
            locustfile=str(self.locustfile),
            host=host,
            model=model,
            stages=(),
            place=Place("scenario.yaml", 1),
            **options,
        )
        self.crowd = Crowd(
            load,
            worker=0,
            anchor=self.anchor,
            run="test-run",
            log=self.log,
            variables=variables,
            on_chunk=self._on_chunk,
            on_end=lambda _: self.ended.set(),
        )

    def _on_chunk(self, chunk: Chunk, packet: bytes) -> None:
        with self.told:
            self.chunks.append(chunk)
            self.packets.append(packet)
            self.told.notify_all()

    def start(self, *, level: float = 5.0, stages: list[TimedStage] | None = None) -> Show:
        self.crowd.start()
        self.crowd.wait_ready(20)
        self.begun = self.anchor.at() + 0.5  # the order has to be there by then
        shifted = [
            TimedStage(self.begun + s.start, s.end and self.begun + s.end, s.level_from, s.level_to)
            for s in stages or [TimedStage(0, None, level, level)]
        ]
        self.crowd.begin(shifted)
        return self

    def until(self, condition, within: float = 30.0) -> None:
        with self.told:
            assert self.told.wait_for(condition, within), (
                f"never: {self.rows()} {self.log.read_text()[-2000:]}"
            )

    def rows(self) -> Counter[Key]:
        keys = [key for chunk in self.chunks for key in chunk.keys]
        counted: Counter[Key] = Counter()
        for chunk in self.chunks:
            for _, _, key, _, count in ROW.iter_unpack(chunk.rows):
                counted[keys[key]] += count
        return counted

    def latencies(self) -> dict[int, int]:
        counted: Counter[int] = Counter()
        for chunk in self.chunks:
            for _, _, _, bucket, count in ROW.iter_unpack(chunk.rows):
                counted[bucket] += count
        return dict(counted)

    @property
    def at(self) -> float:
        return self.chunks[-1].at if self.chunks else 0.0

    def users_at(self, seconds: float) -> int:
        """Users that many seconds after the load began."""
        return min(self.chunks, key=lambda chunk: abs(chunk.at - self.begun - seconds)).users

    def pending(self) -> int:
        return sum(count for _, _, count in self.chunks[-1].pending) if self.chunks else 0

    def sent(self) -> int:
        """Requests that reached the server according to the chunks."""
        return (
            sum(n for key, n in self.rows().items() if not key.request.startswith("TASK ")) + self.pending()
        )


@pytest.fixture
def show(tmp_path):
    shows: list[Show] = []

    def make(source: str, host: str | None, model: str = "users", **options) -> Show:
        folder = tmp_path / str(len(shows))
        folder.mkdir()
        shows.append(Show(folder, source, host, model, **options))
        return shows[-1]

    yield make
    for one in shows:
        one.crowd.stop(0)


@pytest.mark.parametrize("kind", ["HttpUser", "FastHttpUser"])
@pytest.mark.parametrize("model", ["users", "rate"])
def test_every_request_that_the_server_saw_is_counted(show, target, kind, model):
    stage = show(PLAIN.format(kind=kind), target.url, model).start(level=8 if model == "users" else 100)
    stage.until(lambda: target.count >= 60)
    stage.crowd.stop(5)
    assert stage.chunks[-1].final
    assert stage.pending() == 0
    assert stage.sent() == target.count
    assert set(stage.rows()) == {Key("GET /home", 200)}
    assert not stage.crowd.alive
    assert stage.crowd.problem == ""
    assert [chunk.sequence for chunk in stage.chunks] == list(range(len(stage.chunks)))


def test_requests_in_flight_at_the_stop_are_reported_as_pending(show, target):
    stage = show(PLAIN.format(kind="FastHttpUser"), target.url).start(level=6)
    stage.until(lambda: target.count >= 30)
    target.open_gate.clear()
    stage.until(lambda: target.count - len(target.answered) == 6)  # all are held, none is on its way back
    stage.until(lambda: stage.pending() == 6)
    stage.crowd.stop(0)
    assert stage.pending() == 6
    assert stage.sent() == target.count


def test_a_hung_target_shows_as_pending_with_its_age(show, target):
    target.open_gate.clear()
    stage = show(PLAIN.format(kind="HttpUser"), target.url).start(level=30)
    stage.until(lambda: stage.pending() == 30)
    at = stage.at
    assert at - stage.begun < 5.0  # not only when a request has ended: none ever does
    assert all(request == "GET /home" for _, request, _ in stage.chunks[-1].pending)
    stage.until(lambda: stage.at > at + 1)
    assert max(start for start, _, _ in stage.chunks[-1].pending) * SLOT < stage.at - 1
    assert not stage.rows()


def test_arrivals_begin_on_time_through_a_stall_and_count_from_their_intended_start(show, target):
    stage = show(PLAIN.format(kind="FastHttpUser"), target.url, "rate").start(
        stages=[TimedStage(0, 6, 200, 200)]
    )
    stage.until(lambda: target.count >= 300)
    target.open_gate.clear()
    stalled = stage.anchor.at()
    stage.until(lambda: stage.at > stalled + 2)
    target.open_gate.set()
    stage.until(lambda: stage.at > stage.begun + 6 and not stage.pending())
    stage.crowd.stop(5)
    assert sum(n for chunk in stage.chunks for _, n in chunk.offered) == 1200
    assert sum(n for chunk in stage.chunks for _, n in chunk.started) == 1200
    assert stage.sent() == target.count == 1200
    due = (stage.anchor.monotonic + stage.begun + at for at in due_times([TimedStage(0, 6, 200, 200)]))
    waited = sorted(answer - intended for answer, intended in zip(sorted(target.answered), due, strict=True))
    true = waited[int(0.95 * len(waited)) - 1]
    assert true > 1.5
    felt, late = histogram.quantile(stage.latencies(), 0.95), max(chunk.lag[2] for chunk in stage.chunks)
    assert 0.9 * true <= felt <= 1.1 * true + late  # by as much as it says that it was late itself


def test_ramps_are_followed_by_users_and_by_arrivals(show, target):
    closed = show(PLAIN.format(kind="FastHttpUser"), target.url).start(
        stages=[
            TimedStage(0, 2, 0, 20),
            TimedStage(2, 3, 20, 20),
            TimedStage(3, 4, 20, 2),
            TimedStage(4, None, 2, 2),
        ]
    )
    closed.until(lambda: closed.at > closed.begun + 4.6)
    assert abs(closed.users_at(1.0) - 10) <= 3
    assert abs(closed.users_at(2.5) - 20) <= 1
    assert abs(closed.users_at(3.5) - 11) <= 4
    assert closed.users_at(4.5) == 2
    closed.crowd.stop(5)
    assert closed.sent() == target.count
    target.asked.clear()
    opened = show(PLAIN.format(kind="FastHttpUser"), target.url, "rate").start(
        stages=[TimedStage(0, 2, 0, 100), TimedStage(2, 3, 100, 20)]
    )
    opened.until(lambda: opened.at > opened.begun + 3.2)
    opened.crowd.stop(5)
    assert target.count == 160
    by_second = Counter(
        int(slot * SLOT - opened.begun)
        for chunk in opened.chunks
        for slot, n in chunk.offered
        for _ in range(n)
    )
    # a slot is 100 ms: what a second takes from its neighbours is a slot's arrivals at its edges, 5 and 10
    assert abs(by_second[0] - 25) <= 6
    assert abs(by_second[1] - 75) <= 11


MIXED = """
from locust import FastHttpUser, HttpUser, SequentialTaskSet, TaskSet, events, task

class Checkout(SequentialTaskSet):
    @task
    def cart(self): self.client.get("/cart")
    @task
    def pay(self): self.client.get("/pay")

class Browse(TaskSet):
    def on_start(self): self.client.get("/enter")
    @task
    def look(self): self.client.get("/look"); self.interrupt()

class Judge(HttpUser):
    def on_start(self): self.client.get("/login")
    @task
    def fine_anyway(self):
        with self.client.get("/fails", catch_response=True) as answer: answer.success()
    @task
    def wrong(self):
        with self.client.get("/wrong", params={"q": 1}, catch_response=True) as answer: answer.failure("wrong price 12345 at 0x7f00")
    @task
    def broken_inside(self):
        with self.client.get("/inside", catch_response=True) as answer: answer.json()["nothing"]
    @task
    def broken_outside(self):
        self.client.get("/outside", name="named")
        raise LookupError("no such thing")
    @task
    def failed_and_broken(self):
        self.client.get("/fails-then").raise_for_status()

class Shopper(FastHttpUser):
    tasks = [Checkout, Browse]
    def wait_time(self): return 0.01
"""


@pytest.mark.parametrize("model", ["users", "rate"])
def test_judgements_and_exceptions_of_user_code_are_counted_once(show, target, model):
    stage = show(MIXED, target.url, model, classes=("Judge",)).start(level=3 if model == "users" else 60)
    stage.until(lambda: len(target.asked) >= 6 and target.count > 100)
    stage.crowd.stop(5)
    rows, asked = stage.rows(), target.asked
    assert stage.sent() == target.count
    assert rows[Key("GET /login", 200)] == asked["/login"]
    assert rows[Key("GET /fails", 503)] == asked["/fails"]
    assert rows[Key("GET /wrong?q=1", 200, "wrong price # at #")] == asked["/wrong?q=1"]
    assert rows[Key("GET named", 200)] == asked["/outside"]
    assert rows[Key("TASK Judge.broken_outside", 0, "LookupError: no such thing")] == asked["/outside"]
    assert rows[Key("GET /fails-then", 503, "status 503")] == asked["/fails-then"]
    [inside] = [key for key in rows if key.request == "GET /inside"]
    assert "JSONDecodeError" in inside.error
    assert rows[inside] == asked["/inside"]
    assert {key.request for key in rows if key.request.startswith("TASK")} == {"TASK Judge.broken_outside"}
    tracebacks = Counter()
    for chunk in stage.chunks:
        tracebacks.update(chunk.tracebacks)
    [lookup] = [text for text in tracebacks if "no such thing" in text]
    assert tracebacks[lookup] == asked["/outside"]
    assert "locustfile.py" in lookup


def test_an_arrival_is_one_task_of_a_set_or_a_whole_sequence(show, target):
    stage = show(MIXED, target.url, "rate", classes=("Shopper",)).start(stages=[TimedStage(0, 2, 50, 50)])
    stage.until(lambda: stage.at > stage.begun + 2.2)
    stage.crowd.stop(5)
    asked = target.asked
    assert asked["/cart"] == asked["/pay"]
    assert asked["/look"] + asked["/cart"] == 100
    assert asked["/enter"] <= asked["/look"]
    assert stage.sent() == target.count


NOISY = """
import os, subprocess, sys, threading
from locust import FastHttpUser, events, task

print("printed at import", os.environ["SECRET"], os.environ["SQUALL_ROLE"], os.environ["SQUALL_RUN"])
os.write(1, b"raw on 1\\n")
child = subprocess.Popen(["sleep", "600"])
ended = []

@events.test_stop.add_listener
def _(environment, **_): print("stop heard", environment.stats.total.num_requests > 0)

class Visitor(FastHttpUser):
    @task
    def home(self):
        print("x" * 1000)
        sys.stdout.buffer.write(b"\\x00\\xff" * 100)
        assert sys.stdin.read() == ""
        self.client.get("/home")
    def on_stop(self): print("user stopped")
"""


def test_user_code_prints_into_the_log_hears_its_events_and_leaves_no_process(show, target):
    stage = show(NOISY, target.url, variables={"SECRET": "fish"}).start(level=2)
    stage.until(lambda: target.count >= 20)
    stage.crowd.stop(5)
    assert stage.sent() == target.count
    log = stage.log.read_bytes().decode(errors="replace")
    assert "printed at import fish load test-run" in log
    assert "raw on 1" in log
    assert "user stopped" in log
    assert "stop heard True" in log  # it reads Locust's statistics, so they are kept
    deadline = now() + 20  # a killed process takes its time to die
    while (left := _session(stage.crowd.pid)) and now() < deadline:
        threading.Event().wait(0.02)
    assert not left


ODD = """
import gevent
from locust import FastHttpUser, HttpUser, task
from locust.exception import StopUser

class NeverMade(HttpUser):
    def __init__(self, environment): raise RuntimeError("cannot be made")
    @task
    def home(self): self.client.get("/home")

class NeverStarted(HttpUser):
    def on_start(self): raise RuntimeError("cannot start")
    @task
    def home(self): self.client.get("/home")

class OnceOnly(FastHttpUser):
    @task
    def home(self):
        self.client.get("/once")
        raise StopUser

class Parallel(FastHttpUser):
    @task
    def home(self):
        gevent.joinall([gevent.spawn(self.client.get, "/parallel") for _ in range(3)])

class Impatient(HttpUser):
    @task
    def home(self):
        try:
            with gevent.Timeout(0.8): self.client.get("/hangs")
        except gevent.Timeout:
            pass

class NotHttp(FastHttpUser):
    @task
    def home(self):
        self.client.get("/mixed")
        with self.environment.events.request.measure("QUEUE", "push"): gevent.sleep(0.01)
"""


ODD_ROWS = {
    Key("TASK NeverMade.__init__", 0, "RuntimeError: cannot be made"),
    Key("TASK NeverStarted.on_start", 0, "RuntimeError: cannot start"),
    Key("GET /once", 200),
    Key("GET /parallel", 200),
    Key("GET /hangs", 0, "Timeout: # seconds"),
    Key("GET /mixed", 200),
    Key("QUEUE push", 0),
}


@pytest.mark.parametrize("model", ["users", "rate"])
def test_odd_locustfiles_are_counted_too(show, target, model):
    stage = show(ODD, target.url, model).start(level=12 if model == "users" else 60)
    stage.until(lambda: set(stage.rows()) == ODD_ROWS and sum(stage.rows().values()) > 100)
    stage.crowd.stop(5)
    rows = stage.rows()
    assert set(rows) == ODD_ROWS
    assert stage.sent() - rows[Key("QUEUE push", 0)] == target.count
    assert stage.crowd.problem == ""


def test_labels_come_from_the_headers_of_the_answer(show, target):
    target.headers = "X-Version: v2\r\n"
    stage = show(
        PLAIN.format(kind="FastHttpUser"), target.url, labels={"version": "header X-Version"}
    ).start()
    stage.until(lambda: target.count >= 5)
    stage.crowd.stop(5)
    assert set(stage.rows()) == {Key("GET /home", 200, "", ("version=v2",))}


def test_refused_connections_are_errors_with_a_stable_name(show):
    closed = Target()
    closed.close()
    stage = show(PLAIN.format(kind="HttpUser"), closed.url).start(level=2)
    stage.until(lambda: sum(stage.rows().values()) > 20)
    assert set(stage.rows()) == {Key("GET /home", 0, "ConnectionRefusedError: Connection refused")}


def test_packed_chunks_are_what_the_frames_file_holds(show, target):
    stage = show(PLAIN.format(kind="FastHttpUser"), target.url).start()
    stage.until(lambda: len(stage.chunks) > 5)
    stage.crowd.stop(1)
    assert [pack(chunk) for chunk in stage.chunks] == stage.packets
    reported = -1
    for chunk in stage.chunks:
        assert all(end >= reported for _, end, _, _, _ in ROW.iter_unpack(chunk.rows)), (
            "ended before a watermark that was told"
        )
        reported = chunk.watermark


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (
            "import os\n\nundefined_name\n",
            "locustfile.py:3: NameError: name 'undefined_name' is not defined; mend",
        ),
        ("def broken(:\n", "locustfile.py:1: SyntaxError: "),
        ("import sys\nsys.exit(3)\n", "locustfile.py:2: SystemExit: 3; mend"),
        ("import os\nos._exit(7)\n", "ended with status 7; its last words are in "),
        ("", "no User class in it"),
        ("from locust import User\nclass Idle(User): pass\n", "class Idle has no task; decorate"),
        (PLAIN.format(kind="HttpUser"), "class Visitor has no host; give load main a target with a url"),
    ],
)
def test_a_locustfile_that_cannot_be_loaded_is_refused_in_one_line(show, source, words):
    stage = show(source, None)
    stage.crowd.start()
    with pytest.raises(Refused) as refusal:
        stage.crowd.wait_ready(20)
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert not stage.crowd.alive


def test_what_cannot_work_is_refused_by_name(show):
    markov = (
        "from locust import HttpUser, MarkovTaskSet, transition\n"
        "class Walk(MarkovTaskSet):\n"
        "    @transition('go')\n"
        "    def go(self): pass\n"
        "class Walker(HttpUser):\n"
        "    tasks = [Walk]\n"
    )
    for options, words in (
        ({"model": "rate"}, "Walk is a MarkovTaskSet, which never ends"),
        ({"classes": ("Runner",)}, "no User class Runner; it has Walker"),
    ):
        stage = show(markov, "http://127.0.0.1:9", **options)
        stage.crowd.start()
        with pytest.raises(Refused, match=words):
            stage.crowd.wait_ready(20)


def test_a_killed_worker_is_noticed_at_once(show, target):
    stage = show(PLAIN.format(kind="FastHttpUser"), target.url).start()
    stage.until(lambda: target.count >= 5)
    os.kill(stage.crowd.pid, signal.SIGKILL)
    assert stage.ended.wait(5)  # without an order, a look or a timeout of ours
    assert not stage.crowd.alive
    assert stage.crowd.problem == "load main, worker 0 died of SIGKILL"


def test_a_locustfile_that_ends_the_load_itself_is_a_problem(show, target):
    source = PLAIN.format(kind="FastHttpUser") + "        self.environment.runner.quit()\n"
    stage = show(source, target.url).start(level=1)
    assert stage.ended.wait(30)
    assert "ended the load itself" in stage.crowd.problem
    assert stage.chunks[-1].final


BUSY = """
from locust import FastHttpUser, task

class Visitor(FastHttpUser):
    @task
    def spin(self):
        self.client.get("/home")
        while True: pass
"""


def test_a_worker_whose_runner_died_goes_home_even_if_it_is_busy(target, tmp_path):
    (tmp_path / "locustfile.py").write_text(BUSY)
    code = f"""
import sys, time
sys.path.insert(0, {str(Path.cwd())!r})
from pathlib import Path
from runner.clock import anchor
from runner.errors import Place
from runner.load.client import Crowd, TimedStage
from runner.scenario import Load
load = Load(name="l", locustfile={str(tmp_path / "locustfile.py")!r}, host={target.url!r}, model="users", stages=(), place=Place("x", 1))
crowd = Crowd(load, worker=0, anchor=anchor(), run="r", log=Path({str(tmp_path / "log")!r}), variables={{}}, on_chunk=lambda c, b: None)
crowd.start(); crowd.wait_ready(20); crowd.begin([TimedStage(0, None, 1, 1)])
print(crowd.pid, flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as runner:
        worker = os.pidfd_open(int(runner.stdout.readline()))
        try:
            assert target.asked_once.wait(30)
            runner.kill()
            assert _gone(worker, within=20.0)
        finally:
            os.close(worker)


def test_a_reader_that_stalls_loses_nothing(show, target):
    stage = show(PLAIN.format(kind="FastHttpUser"), target.url)
    stalled, resume = threading.Event(), threading.Event()
    take = stage.crowd._on_chunk

    def slow(chunk: Chunk, packet: bytes) -> None:
        take(chunk, packet)
        if len(stage.chunks) == 3:
            stalled.set()
            resume.wait(30)

    stage.crowd._on_chunk = slow
    stage.start(level=5)
    assert stalled.wait(30)
    seen = target.count
    target.wait_for(seen + 100)
    resume.set()
    stage.crowd.stop(5)
    assert stage.sent() == target.count
    assert [chunk.sequence for chunk in stage.chunks] == list(range(len(stage.chunks)))


def test_user_classes_are_named_without_importing(tmp_path):
    path = tmp_path / "locustfile.py"
    path.write_text(
        "import locust\nraise SystemExit\n"
        "class Base(locust.HttpUser):\n    abstract = True\n"
        "class Buyer(Base):\n    pass\n"
        "class Seller(locust.FastHttpUser):\n    pass\n"
        "class Cart:\n    pass\n"
    )
    assert classes_in(path) == ["Buyer", "Seller"]
    path.write_text("class (:\n")
    with pytest.raises(Refused, match=r"locustfile.py:1: invalid syntax"):
        classes_in(path)
    with pytest.raises(Refused, match="No such file"):
        classes_in(tmp_path / "none.py")


def _session(leader: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if os.getsid(int(entry.name)) == leader and identify(int(entry.name)) is not None:
                    found.append(int(entry.name))
            except ProcessLookupError:
                continue
    return found


def _gone(pidfd: int, within: float) -> bool:
    import select

    return bool(select.select([pidfd], [], [], within)[0])
