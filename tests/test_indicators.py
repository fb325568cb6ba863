"""Indicators: the right number or the reason why there is none, from real servers, commands and processes."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from runner.clock import now
from runner.errors import Place, ProbeFailed, Refused
from runner.faults.record import Instance
from runner.indicators import Sampler
from runner.indicators.http import at_path
from runner.indicators.sampler import probe_of
from runner.processes import identify, pids
from runner.scenario import Connection, Indicator
from tests import scraped

PLACE = Place(file="x.yaml", line=9)


def indicator(source, **parts) -> Indicator:
    return Indicator(**({"name": "it", "source": source, "place": PLACE} | parts))


def probe(source, connections=None, instances=lambda _: [], **parts):
    return probe_of(indicator(source, **parts), connections or {}, instances)


def read(source, **parts):
    """Read once and let go."""
    made = probe(source, **parts)
    try:
        return made.read()
    finally:
        made.close()


@pytest.fixture
def site():
    """A real HTTP server whose answers a test sets: path -> (status, body, headers) or a function."""
    answers = {}

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            status, body, headers = answers.get(self.path.partition("?")[0], (404, "", {}))
            body = body() if callable(body) else body
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # who asked gave up: that is what some tests are about
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()

    class Site:
        url = f"http://127.0.0.1:{server.server_port}"

        def answer(self, path, body, status=200, **headers):
            answers[path] = (
                status,
                body if isinstance(body, str) or callable(body) else json.dumps(body),
                headers,
            )
            return self.url + path

    yield Site()
    server.shutdown()
    thread.join()
    server.server_close()


# --- http ------------------------------------------------------------------------------------------------------


def test_a_number_is_found_at_its_path(site):
    url = site.answer("/s", {"a": {"b": [{"c": 42}]}})
    assert [each.value for each in read("http", url=url, query="a.b[0].c")] == [42.0]


def test_how_much_is_valid_is_read_from_one_answer(site):
    (reading,) = read("http", url=site.answer("/s", {"good": 7, "all": 8}), valid="good", total="all")
    assert (reading.valid, reading.total, reading.bad) == (7.0, 8.0, None)


@pytest.mark.parametrize(
    ("told", "says"),
    [({"good": 9, "all": 8}, "9 valid of 8 cannot be"), ({"good": -1, "all": 8}, "-1 valid of 8 cannot be"),
     ({"good": 0, "all": 0}, "the total is 0"), ({"good": 1}, "has no 'all'")],
)  # fmt: skip
def test_a_ratio_that_cannot_be_is_no_data(site, told, says):
    with pytest.raises(ProbeFailed, match=says):
        read("http", url=site.answer("/s", told), valid="good", total="all")


def test_a_ratio_is_read_from_one_answer(site):
    (reading,) = read("http", url=site.answer("/s", {"bad": 1, "all": 8}), bad="bad", total="all")
    assert (reading.bad, reading.total) == (1.0, 8.0)


@pytest.mark.parametrize(
    ("document", "path", "says"),
    [
        ({"a": {"b": 1}}, "a.c", r"a has no 'c' \(path a.c\); it is a map with b"),
        ({"a": [1]}, "a[3]", r"a has no 3 .* it is a list of 1"),
        ({"a": "7"}, "a", "a is '7', a number is wanted"),
        ({"a": True}, "a", "a is True, a number is wanted"),
        (None, "", "the answer is None"),
    ],
)
def test_what_is_not_there_is_named(document, path, says):
    with pytest.raises(ProbeFailed, match=says):
        at_path(document, path)


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [(500, "{}", "answered 500"), (200, "<html>", "answered what is no JSON: b'<html>'")],
)
def test_an_error_page_is_no_data(site, status, body, says):
    with pytest.raises(ProbeFailed, match=says):
        read("http", url=site.answer("/s", body, status=status))


def test_a_redirect_on_the_same_host_is_followed_and_one_elsewhere_is_not(site):
    site.answer("/new", "7")
    assert read("http", url=site.answer("/old", "", 302, Location="/new"))[0].value == 7.0
    other = site.url.replace("127.0.0.1", "localhost")
    with pytest.raises(ProbeFailed, match=r"redirects to http://localhost:.*, another place"):
        read("http", url=site.answer("/away", "", 302, Location=f"{other}/new"))


def test_the_credentials_service_of_a_cloud_is_not_asked():
    with pytest.raises(ProbeFailed, match="is a link-local address"):
        read("http", url="http://169.254.169.254/latest/meta-data")


def test_a_proxy_of_the_environment_is_not_used(site, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    assert read("http", url=site.answer("/s", "7"))[0].value == 7.0


def test_who_is_not_there_is_said_without_credentials():
    with pytest.raises(ProbeFailed, match=r"^http://127.0.0.1:1 cannot be reached"):
        read("http", url="http://user:secret@127.0.0.1:1/x?token=secret")


def test_a_server_that_drips_its_answer_is_given_up(site):
    ending = threading.Event()
    url = site.answer("/s", lambda: (ending.wait(5) and "") or "1")
    began = now()
    with pytest.raises(ProbeFailed, match="did not answer in time"):
        read("http", url=url, every=0.2)
    assert now() - began < 3
    ending.set()


# --- command ---------------------------------------------------------------------------------------------------


def test_a_command_prints_its_number():
    assert read("command", argv=("echo", " 12.5 "))[0].value == 12.5


@pytest.mark.parametrize(
    ("text", "counts", "parts"),
    [
        ("498 500", "valid", {"valid": 498.0, "total": 500.0}),
        ("2 500", "bad", {"bad": 2.0, "total": 500.0}),
        ('{"valid": 498, "total": 500, "took": 3}', "valid", {"valid": 498.0, "total": 500.0}),
        ('{"total": 500, "bad": 0}', "bad", {"bad": 0.0, "total": 500.0}),
    ],
)
def test_a_command_counts_a_part_of_a_total(text, counts, parts):
    (reading,) = read("command", argv=("echo", text), counts=counts)
    assert {part: getattr(reading, part) for part in parts} == parts
    assert reading.value is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("498", "echo printed '498', `VALID TOTAL` or JSON of both is wanted"),
        ("1 2 3", "`VALID TOTAL` or JSON"),
        ("", "echo printed ''"),
        ("all good", "echo printed 'all', a number is wanted"),
        ("nan 5", "is nan"),
        ("6 5", "6 valid of 5 cannot be"),
        ("0 0", "the total is 0: nothing was there to count"),
        ('{"bad": 1, "total": 5}', "JSON of both is wanted"),
        ('{"valid": [1], "total": 5}', "a number is wanted"),
        ('{"valid": true, "total": 5}', "a number is wanted"),
        ("{valid: 1}", "no JSON"),
    ],
)
def test_a_command_that_counts_nothing_is_no_data(text, says):
    with pytest.raises(ProbeFailed, match=says):
        read("command", argv=("echo", text), counts="valid")


def test_a_command_runs_where_it_was_written_to(tmp_path):
    (tmp_path / "seven").write_text("7")
    assert read("command", argv=("cat", "seven"), cwd=str(tmp_path))[0].value == 7.0
    with pytest.raises(ProbeFailed, match="cannot be started"):
        read("command", argv=("cat", "seven"), cwd=str(tmp_path / "gone"))


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("echo", "fine"), "echo printed 'fine', a number is wanted"),
        (("echo", "nan"), "what echo printed is nan"),
        (("true",), "true printed ''"),
        (("sh", "-c", "echo no such table >&2; exit 3"), "sh ended with 3: no such table"),
        (("/no/such/command",), "cannot be started: No such file"),
    ],
)
def test_a_command_that_gives_no_number_says_what_it_gave(argv, says):
    with pytest.raises(ProbeFailed, match=says):
        read("command", argv=argv)


def test_a_late_command_is_killed_with_everything_it_started(tmp_path):
    script = f"sleep 61 & echo $! > {tmp_path}/child; wait"
    with pytest.raises(ProbeFailed, match=r"did not end within 0.3s"):
        read("command", argv=("sh", "-c", script), every=0.3)
    child = int((tmp_path / "child").read_text())
    deadline = now() + 2
    while identify(child) and now() < deadline:
        time.sleep(0.01)
    assert identify(child) is None


def test_a_child_that_keeps_the_pipe_open_delays_nothing(tmp_path):
    began = now()
    assert read("command", argv=("sh", "-c", "sleep 62 & echo 5"), every=5.0)[0].value == 5.0
    assert now() - began < 10  # of the twenty seconds that the answer takes


# --- processes -------------------------------------------------------------------------------------------------


@pytest.fixture
def start():
    started = []

    def start(program: str) -> Instance:
        process = subprocess.Popen([sys.executable, "-c", f"{program}"], stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout.readline() == b"up\n"
        name = f"shop.{len(started) - 1}"
        return Instance(target="shop", name=name, process=identify(process.pid))

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


IDLE = "import time; print('up', flush=True); time.sleep(60)"


def by_instance(readings):
    return {reading.instance: reading for reading in readings}


def test_rss_is_each_instances_own(start):
    small, large = start(IDLE), start("x = b'1' * (64 << 20);" + IDLE)
    readings = by_instance(read("process", instances=lambda _: [small, large], target="shop", measure="rss"))
    assert set(readings) == {"shop.0", "shop.1"}
    assert readings["shop.1"].value - readings["shop.0"].value > 60 << 20


def test_children_count_for_their_instance(start):
    parent = start("import subprocess; c = subprocess.Popen(['sleep', '60']);" + IDLE)
    readings = by_instance(read("process", instances=lambda _: [parent], target="shop", measure="threads"))
    child = [pid for pid in pids() if _parent(pid) == parent.process.pid]
    assert readings["shop.0"].value == 2
    os.kill(child[0], 9)


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def test_cpu_is_a_share_of_the_cores_that_may_be_used(start):
    busy = start("print('up', flush=True)\nwhile True: pass")
    os.sched_setaffinity(busy.process.pid, {max(os.sched_getaffinity(0))})
    idle = start(IDLE)
    made = probe("process", instances=lambda _: [busy, idle], target="shop", measure="cpu")
    assert made.read() == []  # a share needs two looks
    spent = _spent(busy) + 0.1
    while _spent(busy) < spent:
        time.sleep(0.02)
    readings = by_instance(made.read())
    assert 0.1 < readings["shop.0"].value <= 1.1
    assert readings["shop.1"].value < 0.05


def _spent(instance: Instance) -> float:
    fields = Path(f"/proc/{instance.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_restarted_process_is_followed(start):
    living = [start(IDLE)]
    made = probe("process", instances=lambda _: living, target="shop", measure="rss")
    assert set(by_instance(made.read())) == {"shop.0"}
    living[0] = start("x = b'1' * (64 << 20);" + IDLE)
    assert by_instance(made.read())["shop.1"].value > 60 << 20


def test_a_target_without_processes_is_no_data():
    with pytest.raises(ProbeFailed, match="shop: none of its processes runs"):
        read("process", target="shop", measure="rss")


def test_an_instance_that_is_gone_is_an_error_and_the_others_are_told(start):
    here, gone = start(IDLE), start(IDLE)
    os.kill(gone.process.pid, 9)
    os.waitid(os.P_PID, gone.process.pid, os.WEXITED | os.WNOWAIT)
    readings = by_instance(read("process", instances=lambda _: [here, gone], target="shop", measure="fds"))
    assert set(readings) == {"shop.0", "shop.1"}
    assert readings["shop.1"].error == "shop.1 ended"
    assert readings["shop.0"].value >= 3


# --- the schedule ----------------------------------------------------------------------------------------------


class Samples:
    """Collects what a sampler emits, and waits for it."""

    def __init__(self):
        self.all = []
        self._arrived = threading.Condition()

    def __call__(self, sample):
        with self._arrived:
            self.all.append(sample)
            self._arrived.notify_all()

    def wait_for(self, enough):
        with self._arrived:
            assert self._arrived.wait_for(lambda: enough(self.all), timeout=30), self.all


def sampler(samples, *indicators, connections=None) -> Sampler:
    began = now()
    return Sampler(
        indicators,
        connections or {},
        instances=lambda _: [],
        at=lambda: now() - began,
        emit=samples,
        run="r-test",
    )


def test_a_slow_probe_does_not_delay_another(site):
    release = threading.Event()
    slow = indicator(
        "http", name="slow", url=site.answer("/slow", lambda: release.wait(20) and "1"), every=5.0
    )
    fast = indicator("http", name="fast", url=site.answer("/fast", "1"), every=0.05)
    samples = Samples()
    running = sampler(samples, slow, fast)
    running.start()
    samples.wait_for(lambda seen: len(seen) >= 10)
    release.set()
    running.stop()
    assert {sample.indicator for sample in samples.all[:10]} == {"fast"}


def test_the_schedule_is_absolute_and_slots_that_a_slow_reading_missed_are_left_out(site):
    took = iter([0.0, 0.9, *[0.0] * 100])
    url = site.answer("/s", lambda: time.sleep(next(took)) or "1")
    samples = Samples()
    running = sampler(samples, indicator("http", url=url, every=0.6))
    running.start()
    samples.wait_for(lambda seen: len(seen) >= 3)
    running.stop()
    first, second, third = (sample.at for sample in samples.all[:3])
    assert second - first > 1.2
    assert third - second < 0.55  # the next slot, not one interval after the slow one ended


def test_every_failure_becomes_a_sample_with_its_reason(site):
    samples = Samples()
    running = sampler(samples, indicator("http", url=site.url + "/none", every=0.1))
    running.start()
    samples.wait_for(lambda seen: len(seen) >= 2)
    running.stop()
    assert {sample.error for sample in samples.all} == {f"{site.url} answered 404"}
    assert all(sample.value is None for sample in samples.all)


def test_stop_is_bounded_and_nothing_is_emitted_afterwards(site):
    asked, release = threading.Event(), threading.Event()
    url = site.answer("/s", lambda: asked.set() or (release.wait(20) and "1"))
    samples = Samples()
    running = sampler(
        samples,
        indicator("http", url=url, every=30.0),
        indicator("command", name="c", argv=("sleep", "63"), every=30.0),
    )
    running.start()
    assert asked.wait(20)
    began = now()
    running.stop(patience=0.5)
    assert now() - began < 10  # of the twenty seconds that the answer takes
    release.set()
    assert samples.all == []
    assert not [pid for pid in pids() if b"sleep\x0063\0" in _command(pid)]


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_a_prometheus_that_the_environment_does_not_name_is_refused():
    with pytest.raises(Refused, match=r"x.yaml:9: indicators.it: no Prometheus is known; add connections"):
        probe("prometheus", query="up")


def test_a_token_that_is_not_set_is_refused(monkeypatch):
    monkeypatch.delenv("NO_SUCH_TOKEN", raising=False)
    with pytest.raises(Refused, match="NO_SUCH_TOKEN is not set"):
        probe(
            "prometheus",
            {"prometheus": Connection(url="http://127.0.0.1:1", token_env="NO_SUCH_TOKEN")},
            query="up",
        )


# --- a real Prometheus -----------------------------------------------------------------------------------------

METRICS = """
# TYPE jobs_total counter
jobs_total{queue="a"} %(jobs)d
jobs_total{queue="b"} 5
# TYPE wait_seconds histogram
wait_seconds_bucket{le="0.1"} %(quick)d
wait_seconds_bucket{le="+Inf"} %(all)d
wait_seconds_sum 1
wait_seconds_count %(all)d
# TYPE nothing gauge
nothing NaN
"""


class Exporter:
    """A metrics endpoint whose numbers a test sets."""

    def __init__(self):
        self.numbers = {"jobs": 10, "quick": 3, "all": 4}
        exporter = self

        class Answer(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = (METRICS % exporter.numbers).encode()
                self.send_response(200 if exporter.up else 500)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.up = True
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture(scope="module")
def exporter():
    made = Exporter()
    yield made
    made.close()


@pytest.fixture(scope="module")
def prometheus(exporter, tmp_path_factory):
    """A real Prometheus that scrapes the exporter every second; its url."""
    folder = tmp_path_factory.mktemp("prometheus")
    with scraped.prometheus(folder, f"127.0.0.1:{exporter.server.server_port}") as url:
        eventually(url, lambda found: found.value, query="sum(jobs_total)")
        yield url


def ask(url, every=2.0, **parts):
    return read("prometheus", connections={"prometheus": Connection(url=url)}, every=every, **parts)


def eventually(url, wanted, **parts):
    deadline = now() + 30
    while now() < deadline:
        try:
            if wanted(found := ask(url, **parts)[0]):
                return found
        except ProbeFailed as failed:
            found = failed
        time.sleep(0.1)
    raise AssertionError(found)


def test_one_series_or_a_scalar_is_a_value(prometheus):
    assert ask(prometheus, query='jobs_total{queue="b"}')[0].value == 5.0
    assert ask(prometheus, query="scalar(vector(3))")[0].value == 3.0


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("jobs_total", r"the query gave 2 series, one is wanted: jobs_total\{.*queue=\"a\"\}, .*aggregate"),
        ("no_such_metric", "the query gave no series: is the target scraped"),
        ("jobs_total[1m]", "gave a matrix; ask for an instant vector"),
        ("sum(", "Prometheus refused the query: bad_data"),
        ("nothing", "the query is nan, which is no measurement"),
        ("sum(jobs_total) / 0", "the query is inf"),
    ],
)
def test_anything_but_one_number_is_no_data_and_says_what_came(prometheus, query, says):
    with pytest.raises(ProbeFailed, match=says):
        ask(prometheus, query=query)


def test_a_ratio_of_nothing_is_no_data(prometheus):
    with pytest.raises(ProbeFailed, match="total is 0: nothing happened"):
        ask(prometheus, bad="vector(0)", total="vector(0)")
    assert ask(prometheus, valid="vector(3)", total="vector(4)")[0].valid == 3.0


def test_a_ratio_is_read_at_one_moment(prometheus):
    (reading,) = ask(prometheus, bad='jobs_total{queue="b"}', total="sum(jobs_total)")
    assert (reading.bad, reading.total) == (5.0, 15.0)


def test_the_buckets_of_a_histogram_grow_with_its_events(prometheus, exporter):
    made = probe(
        "prometheus", {"prometheus": Connection(url=prometheus)}, every=2.0, histogram="wait_seconds_bucket"
    )
    seen = []

    def grown(bound):
        seen.extend(reading.buckets[bound] for reading in made.read())
        return sum(seen)

    assert made.read() == []  # growth needs two looks
    exporter.numbers |= {"quick": 5, "all": 9}
    _until(lambda: grown("+Inf") == 5)
    exporter.numbers |= {"quick": 1, "all": 1}  # the process started again
    _until(lambda: grown("+Inf") == 6)
    assert min(seen) >= 0
    made.close()


def _until(true):
    deadline = now() + 30
    while not true():
        assert now() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("rate(wait_seconds_bucket[5s])", "without rate"),
        ("jobs_total", "no classic bucket"),
        ("nope", "no series"),
    ],
)
def test_what_is_no_histogram_is_no_data(prometheus, query, says):
    with pytest.raises(ProbeFailed, match=says):
        ask(prometheus, histogram=query)


def test_samples_older_than_three_times_every_are_no_data(prometheus):
    with pytest.raises(ProbeFailed, match=r"older than 0.003s, 3 times `every`: is the target still"):
        ask(prometheus, query='jobs_total{queue="b"}', every=0.001)


def test_a_target_that_is_no_longer_scraped_is_no_data(prometheus, exporter):
    exporter.up = False
    try:
        _until(lambda: _fails(prometheus, 'jobs_total{queue="b"}'))
    finally:
        exporter.up = True
    eventually(prometheus, lambda found: found.value == 5.0, query='jobs_total{queue="b"}')


def _fails(url, query):
    try:
        ask(url, query=query)
    except ProbeFailed:
        return True
    return False


def test_an_answer_without_one_of_its_stores_is_no_data(exporter, tmp_path):
    lost = {"remote_read": [{"url": "http://127.0.0.1:1/read", "read_recent": True}]}
    with scraped.prometheus(tmp_path, f"127.0.0.1:{exporter.server.server_port}", **lost) as url:
        with pytest.raises(ProbeFailed, match="Prometheus warned: remote_read"):
            ask(url, query="sum(jobs_total) or vector(1)")
        with pytest.raises(ProbeFailed, match="Prometheus warned"):
            counting(url).read()


def test_a_warning_of_prometheus_is_no_data(site):
    answer = {
        "status": "success",
        "warnings": ["remote read lost a store"],
        "data": {"resultType": "vector", "result": []},
    }
    site.answer("/api/v1/query", answer)
    with pytest.raises(ProbeFailed, match="Prometheus warned: remote read lost a store"):
        ask(site.url, query="up")


def test_an_answer_from_a_cache_is_no_data(site):
    series = [{"metric": {}, "value": [time.time() - 60, "1"]}]
    site.answer("/api/v1/query", {"status": "success", "data": {"resultType": "vector", "result": series}})
    with pytest.raises(ProbeFailed, match=r"the newest sample is .*s old, more than 3 times"):
        ask(site.url, query="up")


def test_a_token_is_sent_and_never_follows_a_redirect_elsewhere(site, monkeypatch):
    monkeypatch.setenv("PROM_TOKEN", "s3cret")
    other = site.url.replace("127.0.0.1", "localhost")
    site.answer("/api/v1/query", "", 302, Location=f"{other}/api/v1/query")
    connection = {"prometheus": Connection(url=site.url, token_env="PROM_TOKEN")}
    with pytest.raises(ProbeFailed, match="another place") as failed:
        read("prometheus", connections=connection, query="up")
    assert "s3cret" not in str(failed.value)


def test_a_command_carries_the_mark_of_its_run_and_is_found_if_the_runner_dies():
    made = probe_of(
        indicator("command", argv=("sh", "-c", 'test "$SQUALL_RUN$SQUALL_ROLE" = r7probe && echo 1')),
        {},
        None,
        "r7",
    )
    assert made.read()[0].value == 1.0


# --- objectives: the growth of counters ------------------------------------------------------------------------


def counting(prometheus, bad='jobs_total{queue="b"}', total="jobs_total", **more):
    connections = {"prometheus": Connection(url=prometheus)}
    return probe("prometheus", connections, every=2.0, bad=bad, total=total, counters=True, **more)


def test_events_are_counted_over_all_series_and_a_restart_loses_none(prometheus, exporter):
    made, seen = counting(prometheus, bad='jobs_total{queue="a"}'), []

    def events():
        try:
            seen.extend((each.bad, each.total) for each in made.read())
        except ProbeFailed as failed:
            assert "total did not grow: no event was counted" in str(failed)  # noqa: PT017 - it may have grown
        return tuple(map(sum, zip(*seen, strict=True))) if seen else (0, 0)

    assert made.read() == []  # growth needs two looks
    exporter.numbers["jobs"] += 4
    _until(lambda: events() == (4, 4))
    exporter.numbers["jobs"] = 3  # the process started again
    _until(lambda: events() == (7, 7))
    exporter.numbers["jobs"] = 10
    made.close()


@pytest.mark.parametrize(
    ("queries", "says"),
    [
        (
            {"bad": "no_such_total"},
            "bad gave no series: is the target scraped, and does the metric exist before",
        ),
        ({"total": "no_such_total"}, "total gave no series"),
        ({"total": "nothing"}, "total is nan"),
        ({"bad": "jobs_total[1m]"}, "gave a matrix"),
    ],
)
def test_an_objective_that_cannot_be_counted_is_no_data_and_says_why(prometheus, queries, says):
    with pytest.raises(ProbeFailed, match=says):
        counting(prometheus, **queries).read()


def test_what_does_not_exist_before_its_first_event_may_be_written_as_none(prometheus):
    made = counting(prometheus, bad="no_such_total or vector(0)")
    assert made.read() == []
    with pytest.raises(ProbeFailed, match="total did not grow"):
        made.read()


def test_an_objective_whose_target_is_no_longer_scraped_is_no_data(prometheus, exporter):
    exporter.up, made = False, counting(prometheus)

    def gone():
        try:
            made.read()
        except ProbeFailed as failed:
            return "did not grow" not in str(failed)
        return False

    try:
        _until(gone)
    finally:
        exporter.up = True
    eventually(prometheus, lambda found: found.value == 5.0, query='jobs_total{queue="b"}')
