"""What people see while a run goes on: few lines, nothing a terminal obeys, any size of screen."""

from __future__ import annotations

import contextlib
import io
import os
import pty
import re
import threading
from pathlib import Path

import msgspec
import pytest

from runner.live import HaltReading, IndicatorReading, RequestRow, Snapshot
from runner.plan_record import Plan
from runner.report.sentences import Narrator
from runner.timeline import Event, EvidenceSeen, HaltPulled, Note, Sample, StageBegun
from runner.verdict.record import Outcome
from runner.view import choose
from runner.view.canvas import ASCII, Canvas, Glyphs
from runner.view.lines import picture
from runner.view.plain import PlainView
from runner.view.scene import Follower
from runner.view.terminal import TerminalView
from tests.made_run import ZERO, MadeRun, events, plan, verdict

USUAL, UNICODE = MadeRun(), Glyphs()
HOSTILE = "\x1b]0;owned\x07\x1b[2J\u202e\x9b31m\x00"
OBEYED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def planned(made: MadeRun = USUAL) -> Plan:
    raw = plan(made)
    raw["windows"] = [
        {
            "fault": "slow-store",
            "occurrence": 0,
            "start": 20.0,
            "end": 30.0,
            "instances": ["store"],
            "place": {"file": "x", "line": 1},
        }
    ]
    return msgspec.convert(raw, Plan)


def snapshot(at: float, **more: object) -> Snapshot:
    values: dict[str, object] = {
        "begins_at": 0.0, "rps": 59.8, "error_rate": 0.004, "p50": 0.1, "p95": 0.188, "p99": 0.21,
        "in_flight": 6, "users": 12, "offered": 60.0,
        "requests": (RequestRow("GET /item", 40, 0.01, 0.02, 0.03, 0.04), RequestRow(f"POST {HOSTILE}", 20, 0, 0.02, 0.03, 0.04)),
        "indicators": (IndicatorReading(f"rss{HOSTILE}", "shop.1", 4e7, "bytes", 0.4), IndicatorReading("cpu", "", None, "", 9.0, f"refused{HOSTILE}")),
        "halts": (HaltReading("error_rate > 20%", 0.004, 0.2, "share"), HaltReading("p99 > 2s for 5s", None, 2.0, "seconds")),
    }  # fmt: skip
    return Snapshot(at=at, **(values | more))  # type: ignore[arg-type]


def followed(until: float, made: MadeRun = USUAL) -> Follower:
    follower = Follower(planned(made))
    for event in events(made):
        if event.at <= until:
            follower.follow(event)
            follower.arrived(event.at)
    return follower


def drawn(
    at: float,
    width: int,
    height: int,
    *,
    glyphs: Glyphs = UNICODE,
    made: MadeRun = USUAL,
    **more: object,
) -> list[str]:
    rows = picture(
        followed(at, made).scene(), snapshot(at, **more), planned(made), Canvas(width, height, glyphs)
    )
    return ["".join(text for text, _ in row) for row in rows]


def test_plain_lines_tell_each_event_once_and_in_order() -> None:
    stream = io.StringIO()
    view = PlainView(stream, planned())
    for event in events(MadeRun()):
        view.event(event)
    view.draw(snapshot(60.0))
    view.close(verdict(MadeRun()))
    lines = stream.getvalue().splitlines()
    told = [re.sub(r"^\S+\s+(\S+ s)?\s*", "", line) for line in lines]
    assert "t = 0: faults begin" in told
    assert "kill-one injected on shop.2: the process is gone" in told
    assert "kill-one undone on shop.2" in told
    assert not [line for line in told if line.startswith("start ")]  # targets of ours are no news
    assert len(told) == len(set(told)) < 20


def test_a_quiet_hour_is_at_most_sixty_lines() -> None:
    stream = io.StringIO()
    view = PlainView(stream, planned())
    for event in events(MadeRun()):
        view.event(event)
    for tick in range(4 * 3600):
        if tick % 4 == 0:
            view.event(Sample(at=60 + tick / 4, indicator="rss", instance="shop.1", value=1.0))
        view.draw(snapshot(60 + tick / 4))
    view.close(None)
    lines = stream.getvalue().splitlines()
    assert 20 < len(lines) <= 60
    assert "p95 188 ms" in lines[-1]


def test_a_stage_announced_beforehand_is_told_when_it_comes() -> None:
    stream = io.StringIO()
    view = PlainView(stream, planned())
    view.event(StageBegun(at=30.0, load="shoppers", name="peak"))
    view.draw(snapshot(29.0))
    assert "peak" not in stream.getvalue()
    view.draw(snapshot(30.1))
    assert "stage peak" in stream.getvalue()


def test_what_did_not_hold_is_told_at_the_end_with_value_and_limit() -> None:
    stream = io.StringIO()
    PlainView(stream).close(verdict(MadeRun(outcome=Outcome.FAILED)))
    assert stream.getvalue().startswith(
        "BROKEN: during slow-store: p95 < 110ms: 128 ms (124 ms to 131 ms), limit 110 ms"
    )


def test_an_event_never_waits_for_a_stream_that_blocks() -> None:
    read, write = os.pipe()
    os.set_blocking(write, True)
    stream = os.fdopen(write, "w")
    view = PlainView(stream, planned())
    told = threading.Event()

    def tell() -> None:
        for number in range(20_000):
            view.event(Note(at=1.0, text=f"{number} {'x' * 200}"))
        told.set()

    threading.Thread(target=tell, daemon=True).start()
    assert told.wait(30)
    os.close(read)
    view.draw(snapshot(1.0))  # the reader is gone: no error
    view.close(None)
    with contextlib.suppress(BrokenPipeError):  # what its buffer still holds
        stream.close()


def test_a_closed_terminal_ends_the_drawing_and_not_the_run() -> None:
    stream = io.StringIO()
    view = TerminalView(stream, planned(), columns=80)
    view.draw(snapshot(1.0))
    stream.close()
    for event in events(MadeRun()):
        view.event(event)
        view.draw(snapshot(2.0))
    view.close(None)


@pytest.mark.parametrize("kind", [PlainView, TerminalView])
def test_nothing_from_outside_is_obeyed_by_the_terminal(kind: type) -> None:
    made = MadeRun(hostile=HOSTILE, notes=(HOSTILE,), halted=True, outcome=Outcome.FAILED)
    stream = io.StringIO()
    view = kind(stream, planned(made))
    for event in [*events(made), Sample(at=59.0, indicator=HOSTILE, error=HOSTILE)]:
        view.event(event)
        view.draw(snapshot(event.at))
    view.close(verdict(made))
    ours = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\r")
    assert not OBEYED.search(ours.sub("", stream.getvalue()))
    assert "\x1b[2J\u202e" not in stream.getvalue()
    assert "\\x1b]0;owned\\x07" in stream.getvalue()


@pytest.mark.parametrize(
    ("width", "height"), [(200, 60), (120, 39), (80, 23), (40, 9), (20, 3), (10, 1), (1, 1)]
)
@pytest.mark.parametrize("glyphs", [Glyphs(), ASCII])
@pytest.mark.parametrize("at", [0.0, 6.0, ZERO + 5, ZERO + 25, 59.0, 90.0])
def test_the_picture_never_leaves_the_screen(width: int, height: int, glyphs: Glyphs, at: float) -> None:
    rows = drawn(at, width, height, glyphs=glyphs, made=MadeRun(hostile="名前" * 30))
    assert len(rows) <= height
    from rich.cells import cell_len

    assert all(cell_len(row) <= width for row in rows)


def test_without_unicode_the_picture_is_ascii() -> None:
    made = MadeRun(hostile="名前")
    assert all(row.isascii() for row in drawn(ZERO + 25, 120, 40, glyphs=ASCII, made=made))
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    for view in (PlainView(stream, planned(made)), TerminalView(stream, planned(made), columns=80)):
        for event in events(made):
            view.event(event)
        view.draw(snapshot(30.0))
        view.close(verdict(made))
    stream.flush()
    assert raw.getvalue().count(b"\\u540d") > 2


def test_a_small_screen_still_has_phase_measures_and_the_way_out() -> None:
    rows = drawn(ZERO + 25, 40, 9)
    whole = "\n".join(rows)
    assert "first_steps" in whole
    assert "p95 188 ms" in whole
    assert "Ctrl-C" in whole


def test_a_broken_measure_stands_beside_its_limit() -> None:
    during = "\n".join(drawn(ZERO + 25, 120, 40))
    assert "p95 188 ms ▲ 110 ms" in during  # `during slow-store` counts while it runs
    before = "\n".join(drawn(6.0, 120, 40, p95=0.04))
    assert "p95 40 ms < 150 ms" in before  # else the steady state


def test_no_data_is_said_and_not_drawn_as_zero() -> None:
    rows = "\n".join(drawn(6.0, 120, 40, p50=None, p95=None, p99=None, error_rate=None, offered=None))
    assert "p95 no data" in rows
    assert "error rate no data" in rows


def test_the_sequence_shows_what_is_planned_done_and_now() -> None:
    (lane,) = [row for row in drawn(ZERO + 12, 120, 40) if row.startswith("slow-store")]
    assert "░" in lane
    assert "planned" in lane
    (lane,) = [row for row in drawn(ZERO + 25, 120, 40) if row.startswith("slow-store")]
    assert "█" in lane
    assert "│" in lane
    assert "injected, confirmed" in lane
    (lane,) = [row for row in drawn(ZERO + 25, 120, 40) if row.startswith("kill-one")]
    assert "undone, confirmed" in lane


def test_a_halt_takes_the_headline() -> None:
    rows = drawn(59.0, 120, 40, made=MadeRun(halted=True))
    assert "HALTED, undoing: error_rate 41 %" in rows[0]


def test_a_halt_rule_that_is_near_shows_it() -> None:
    near = (
        HaltReading("error_rate > 20%", 0.16, 0.2, "share"),
        HaltReading("p99 > 2s", 2.5, 2.0, "seconds", tripping=True),
    )
    rows = [row for row in drawn(ZERO + 25, 120, 40, halts=near) if row.startswith("halt if")]
    assert rows[0].count("█") == 8
    assert rows[1].count("█") == 10
    assert "tripping" in rows[1]


def test_a_halt_rule_with_a_confidence_shows_its_evidence() -> None:
    sure = HaltReading(
        "error_rate > 1% (confidence 99%)", 0.02, 0.01, "share", log10_evidence=1.0, log10_needed=2.0
    )
    [row] = [row for row in drawn(ZERO + 25, 120, 40, halts=(sure,)) if row.startswith("halt if")]
    assert row.count("█") == 5
    assert "now E = 10 of 100 needed" in row


def test_evidence_is_told_only_as_it_grows() -> None:
    narrator = Narrator()
    seen = [0.1, 0.7, 0.7, 0.4, 0.9, 1.9, 0.2]
    told = [
        narrator.tell(
            EvidenceSeen(
                at=1.0,
                rule="r",
                log10=log10,
                needed=2.0,
                bad=3,
                requests=40,
                since=0.0,
                limit=0.01,
                effect=1.0,
            )
        )
        for log10 in seen
    ]
    assert [one is not None for one in told] == [False, True, False, False, True, True, False]
    assert told[1] == ("evidence for `r`: E = 5.01 of 100 needed, by 3 bad of 40 requests", "warn")


def test_a_probe_that_fails_is_told_once_and_once_when_it_works_again() -> None:
    narrator = Narrator()
    readings = ["refused", "refused", "", "", "refused"]
    told = [
        narrator.tell(Sample(at=float(i), indicator="cpu", value=None if e else 1.0, error=e))
        for i, e in enumerate(readings)
    ]
    assert [bool(one) for one in told] == [True, False, True, False, True]


def test_ten_thousand_notes_do_not_fill_the_memory_of_the_narrator() -> None:
    narrator = Narrator()
    for number in range(20_000):
        narrator.tell(Note(at=0.0, text=str(number)))
    assert len(narrator._said) <= 10_000


def test_a_halt_says_who_pulled_it_and_why() -> None:
    told = Narrator().tell(
        HaltPulled(at=1.0, cause="rule", reason="over 20 % for 5 s", rule="error_rate > 20%", value=0.41)
    )
    assert told == ("HALT: a halt rule tripped `error_rate > 20%`, at 41 %: over 20 % for 5 s", "bad")


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "environ", "kind"),
    [
        (_Terminal(), {"TERM": "xterm"}, TerminalView),
        (_Terminal(), {"TERM": "dumb"}, PlainView),
        (_Terminal(), {}, PlainView),
        (_Terminal(), {"TERM": "xterm", "CI": "true"}, PlainView),
        (_Terminal(), {"TERM": "xterm", "CI": "false"}, TerminalView),
        (_Terminal(), {"TERM": "xterm", "SQUALL_TTY": "0"}, PlainView),
        (io.StringIO(), {"TERM": "xterm"}, PlainView),
        (io.StringIO(), {"CI": "1", "SQUALL_TTY": "1"}, TerminalView),
        (io.StringIO(), {"SQUALL_TTY": "100"}, TerminalView),
    ],
)
def test_the_view_fits_where_it_is_shown(stream: io.StringIO, environ: dict[str, str], kind: type) -> None:
    assert type(choose(stream, planned(), environ=environ)) is kind
    assert type(choose(stream, planned(), plain=True, environ=environ)) is PlainView


def test_no_colour_where_the_user_wants_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    stream = io.StringIO()
    view = TerminalView(stream, planned(), columns=100)
    view.draw(snapshot(1.0))
    view.close(None)
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", stream.getvalue())


def test_in_a_real_terminal_the_cursor_comes_back_and_a_resize_redraws() -> None:
    import fcntl
    import struct
    import termios

    outer, inner = pty.openpty()
    received: list[bytes] = []
    reader = threading.Thread(target=_drain, args=(outer, received), daemon=True)
    reader.start()

    def resize(rows: int, columns: int) -> None:
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    with os.fdopen(inner, "w") as stream:
        resize(40, 120)
        view = TerminalView(stream, planned())
        for event in events(MadeRun()):
            view.event(event)
        view.draw(snapshot(30.0))
        resize(10, 40)
        view.event(Note(at=31.0, text="smaller"))
        view.draw(snapshot(31.0))
        view.close(verdict(MadeRun()))
    reader.join(20)
    os.close(outer)
    told = b"".join(received).decode()
    assert "\x1b[?25l" in told
    assert told.rindex("\x1b[?25h") > told.rindex("\x1b[?25l")  # the cursor is back
    assert "\x1b[2J" in told  # the screen was cleared when its size changed


def _drain(descriptor: int, received: list[bytes]) -> None:
    try:
        while chunk := os.read(descriptor, 65536):
            received.append(chunk)
    except OSError:
        return  # the other side is closed


def test_events_of_any_thread_and_drawings_do_not_disturb_each_other() -> None:
    view = TerminalView(io.StringIO(), planned(), columns=100)
    told: list[Event] = events(MadeRun())
    threads = [threading.Thread(target=lambda: [view.event(event) for event in told]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for tick in range(50):
        view.draw(snapshot(tick * 1.0))
    for thread in threads:
        thread.join()
    view.close(verdict(MadeRun()), Path("x"))
