"""The live picture as lines of styled text, for any width and height."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runner.live import HaltReading, Snapshot
from runner.plan_record import Plan
from runner.report.words import clock, power, quantity
from runner.shown import shown
from runner.view.canvas import Canvas, Glyphs, Row, fit
from runner.view.measures import Measure, measures, nearness
from runner.view.scene import Lane, Scene

_TONES = {"quiet": "", "good": "green", "warn": "yellow", "bad": "bold red"}
_STATES = {
    "DIRTY": "bold red",
    "failed": "bold red",
    "injecting": "yellow",
    "injected": "yellow",
    "undoing": "yellow",
}


def picture(scene: Scene, snapshot: Snapshot, plan: Plan | None, canvas: Canvas) -> list[Row]:
    """Compose the picture: the most important parts take their room first, and none is ever wider or higher."""
    at = snapshot.at
    room = canvas.height
    head = [_title(scene, at, canvas), _progress(scene, at, canvas)][:room]
    room -= len(head)
    told = measures(snapshot, scene, plan)
    now = _measures(told, canvas)[: max(0, room - 1)]
    room -= len(now)
    foot = [[("Ctrl-C halts the run and undoes everything", "dim")]] if room > 0 else []
    room -= len(foot)
    lanes = _within(_lanes(scene, at, canvas), room)
    room -= len(lanes)
    halts = _within(_halts(snapshot, canvas), room)
    room -= len(halts)
    recent = _within(_recent(scene, min(8, room - 1)), room)
    room -= len(recent)
    requests = _within(_requests(snapshot, canvas, min(8, room - 1)), room)
    room -= len(requests)
    indicators = _within(_indicators(snapshot, min(8, room - 1)), room)
    rows = [*head, *lanes, *now, *halts, *requests, *indicators, *recent, *foot]
    return [fit(row, canvas) for row in rows[: canvas.height]]


def _title(scene: Scene, at: float, canvas: Canvas) -> Row:
    state = f"{canvas.glyphs.bad} HALTED, undoing: {scene.halted}" if scene.halted else _phase(scene, at)
    return [
        ("squall ", "bold"),
        (scene.title, ""),
        ("  ", ""),
        (state, "bold red" if scene.halted else "bold cyan"),
    ]


def _phase(scene: Scene, at: float) -> str:
    name = {"warmup": "warm-up", "targets": "starting targets"}.get(scene.phase, scene.phase)
    return name if scene.zero is None else f"{name} {clock(at, scene.zero)}"


def _progress(scene: Scene, at: float, canvas: Canvas) -> Row:
    if scene.end is None or scene.end <= scene.start:
        return [("waiting for the load to begin", "dim")]
    left = max(0.0, scene.end - at)
    words = f" {left:.0f} s to go" if left < 120 else f" {left / 60:.0f} min to go"
    width = max(4, canvas.width - len(words) - 1)
    done = round(min(1.0, max(0.0, (at - scene.start) / (scene.end - scene.start))) * width)
    return [(canvas.glyphs.done * done, "cyan"), (canvas.glyphs.ahead * (width - done), "dim"), (words, "")]


def _measures(told: Sequence[Measure], canvas: Canvas) -> list[Row]:
    """Put the measures one after the other, wrapping between them; a broken one stands beside its limit."""
    rows: list[Row] = [[("last 5 s  ", "dim")]]
    used = 10
    for measure in told:
        text = f"{measure.name} {measure.value}"
        bound = (
            f" {canvas.glyphs.over} {measure.limit}"
            if measure.broken
            else f" < {measure.limit}"
            if measure.limit
            else ""
        )
        if used + len(text + bound) > canvas.width and used > 10:
            rows.append([(" " * 10, "")])
            used = 10
        rows[-1] += [
            (text, "bold red" if measure.broken else "bold"),
            (bound, "red" if measure.broken else "dim"),
            ("   ", ""),
        ]
        used += len(text + bound) + 3
    return rows


def _lanes(scene: Scene, at: float, canvas: Canvas) -> list[Row]:
    """Draw the designed sequence with a moving now."""
    if scene.zero is None or scene.end is None or not scene.lanes:
        return []
    names = min(20, max(6, *(len(lane.name) for lane in scene.lanes)))
    states = max(len(lane.state) for lane in scene.lanes)
    width = canvas.width - names - states - 4
    if width < 12:
        return [_brief(lane) for lane in scene.lanes]
    axis = _Columns(scene.start, max(scene.end, at), width)
    rows: list[Row] = [[(" " * (names + 1), ""), (_phase_names(scene, axis), "dim")]]
    for lane in scene.lanes:
        name = _short(lane.name, names, canvas.glyphs)
        rows.append(
            [
                (f"{name:<{names}} ", "bold"),
                *_bar(lane, at, axis, canvas.glyphs),
                ("  ", ""),
                (lane.state, _style(lane)),
            ]
        )
    return [*rows, []]


def _brief(lane: Lane) -> Row:
    return [(f"{shown(lane.name, 20)}: ", "bold"), (lane.state, _style(lane))]


def _style(lane: Lane) -> str:
    if "not confirmed" in lane.state:
        return "bold red"
    return _STATES.get(lane.state.split(",")[0], "dim" if lane.state in ("planned", "armed") else "green")


@dataclass(frozen=True, slots=True)
class _Columns:
    """Time in columns."""

    start: float
    end: float
    width: int

    def of(self, at: float) -> int:
        part = (at - self.start) / max(0.001, self.end - self.start)
        return min(self.width - 1, max(0, int(part * self.width)))


def _phase_names(scene: Scene, axis: _Columns) -> str:
    line = [" "] * axis.width
    for name, begins in sorted(
        scene.phases, key=lambda phase: phase[0] == "warmup"
    ):  # the others matter more
        spot, word = axis.of(begins), {"warmup": "warm-up"}.get(name, name)
        around = line[max(0, spot - 1) : spot + len(word) + 1]
        if spot + len(word) < axis.width and not "".join(around).strip():
            line[spot : spot + len(word)] = word
    return "".join(line)


def _bar(lane: Lane, at: float, axis: _Columns, glyphs: Glyphs) -> Row:
    cells = [" "] * axis.width
    for spans, glyph in ((lane.planned, glyphs.planned), (lane.done, glyphs.full)):
        for span in spans:
            first, last = axis.of(span.start), axis.of(at if span.end is None else span.end)
            cells[first : last + 1] = glyph * (last + 1 - first)
    now = axis.of(at)
    before, after = "".join(cells[:now]), "".join(cells[now + 1 :])
    return [(before, "yellow"), (glyphs.now, "bold"), (after, "dim")]


def _halts(snapshot: Snapshot, canvas: Canvas) -> list[Row]:
    """Say how near each halt rule is."""
    rows: list[Row] = []
    for reading in snapshot.halts:
        part = nearness(reading)
        width = 10
        filled = 0 if part is None else round(part * width)
        style = (
            "bold red"
            if part is not None and part >= 1
            else "yellow"
            if part is not None and part > 0.7
            else "green"
        )
        value = _now(reading)
        word = f" {canvas.glyphs.bad} tripping" if reading.tripping else ""
        rows.append(
            [
                ("halt if   ", "dim"),
                (canvas.glyphs.full * filled, style),
                (canvas.glyphs.ahead * (width - filled), "dim"),
                (f" {shown(reading.rule, 60)}", ""),
                (f"  now {value}{word}", style if filled else "dim"),
            ]
        )
    return rows


def _now(reading: HaltReading) -> str:
    if reading.log10_evidence is not None and reading.log10_needed is not None:
        return f"E = {power(reading.log10_evidence)} of {power(reading.log10_needed)} needed"
    return quantity(reading.value, reading.unit) if reading.value is not None else "no verdict yet"


def _recent(scene: Scene, most: int) -> list[Row]:
    if most < 1 or not scene.recent:
        return []
    told: list[Row] = [
        [(f"{clock(said.at, scene.zero):>9}  ", "dim"), (said.text, _TONES[said.tone])]
        for said in scene.recent[-most:]
    ]
    return [[], *told]


def _requests(snapshot: Snapshot, canvas: Canvas, most: int) -> list[Row]:
    if most < 1 or len(snapshot.requests) < 2 or canvas.width < 60:
        return []
    names = min(28, max(len(one.request) for one in snapshot.requests))
    rows: list[Row] = [[]]
    for one in snapshot.requests[:most]:
        name = _short(one.request, names, canvas.glyphs)
        cells = (quantity(one.rps, "per second"), quantity(one.p50, "seconds"), quantity(one.p95, "seconds"))
        wrong = f"  errors {quantity(one.error_rate, 'share')}" if one.error_rate else ""
        rows.append(
            [
                (f"{name:<{names}}", ""),
                (f" {cells[0]:>9}  p50 {cells[1]:>8}  p95 {cells[2]:>8}", "dim"),
                (wrong, "red"),
            ]
        )
    return rows


def _indicators(snapshot: Snapshot, most: int) -> list[Row]:
    rows: list[Row] = []
    for one in snapshot.indicators[: max(0, most)]:
        name = shown(f"{one.name} {one.instance}".strip(), 40)
        if one.value is None:
            rows.append([(f"{name}: ", ""), (f"no data {shown(one.error, 80)}", "yellow")])
        else:
            rows.append(
                [
                    (f"{name}: ", ""),
                    (quantity(one.value, one.unit), "bold"),
                    (f"  {one.age:.0f} s ago", "dim"),
                ]
            )
    return rows


def _within(rows: list[Row], room: int) -> list[Row]:
    return rows[: max(0, room)]


def _short(text: str, width: int, glyphs: Glyphs) -> str:
    clean = shown(text, 200)
    return clean if len(clean) <= width else clean[: width - 1] + glyphs.ellipsis
