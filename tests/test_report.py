"""Reports from a run's folder: complete, honest about gaps, bounded in size, safe with hostile text."""

from __future__ import annotations

import json
import math
import re
import xml.dom.minidom
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import numpy as np
import pytest

from runner.errors import RecordUnreadable
from runner.load import histogram
from runner.report import junit, last_line, text, write_reports
from runner.report.chart import MOST_BUCKETS, Figure, Line, thin
from runner.report.evidence import read_evidence
from runner.report.figures import figures_of, subject
from runner.report.marks import Marks
from runner.report.scale import time_axis, value_axis
from runner.report.series import grouped_quantiles, over_time
from runner.report.svg import draw
from runner.report.words import clock, quantity
from runner.timeline import ActChanged, Event, HaltPulled, Sample
from runner.verdict.record import Change, Finding, Outcome
from tests.made_run import MadeRun, make_run, verdict

CANARY = "<img src=x onerror=alert(1)>\"'&{{7*7}} javascript:alert(2)\x1b[31m\x00\u202e\ud800"
LIMIT = 2_500_000  # bytes of the page of an hour


class Page(HTMLParser):
    """What the tests look for in a page."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words))


def page_of(folder: Path) -> str:
    write_reports(folder)
    return (folder / "report.html").read_text(encoding="utf-8")


def visible(source: str) -> str:
    """The page without what is packed for zooming."""
    return re.sub(r'<script type="text/plain".*?</script>', "", source, flags=re.DOTALL)


def test_all_three_reports_are_made_from_the_folder_alone(tmp_path: Path) -> None:
    folder = make_run(tmp_path, MadeRun())
    write_reports(folder)
    assert {"report.txt", "report.html", "junit.xml"} <= {entry.name for entry in folder.iterdir()}
    assert not [entry for entry in folder.iterdir() if entry.name.startswith(".")]


def test_without_a_verdict_there_is_no_report_but_a_reason(tmp_path: Path) -> None:
    with pytest.raises(RecordUnreadable, match=r"verdict\.json"):
        write_reports(tmp_path)


def test_a_folder_with_a_verdict_only_still_gives_reports_that_say_what_is_missing(tmp_path: Path) -> None:
    make_run(tmp_path)
    for name in ("plan.json", "timeline.jsonl", "frames.bin"):
        (tmp_path / name).unlink()
    page = Page(page_of(tmp_path))
    assert "plan.json is missing" in page.text
    assert "timeline" in page.text
    assert "Passed" in page.text


def test_a_torn_record_is_reported_with_its_damage(tmp_path: Path) -> None:
    make_run(tmp_path)
    frames = tmp_path / "frames.bin"
    frames.write_bytes(frames.read_bytes()[:-7])
    (tmp_path / "plan.json").write_text("{")
    assert "plan.json cannot be read" in Page(page_of(tmp_path)).text


@pytest.mark.parametrize("outcome", list(Outcome))
def test_every_outcome_says_its_word_with_a_shape_in_page_and_text(tmp_path: Path, outcome: Outcome) -> None:
    folder = make_run(tmp_path, MadeRun(seconds=6, outcome=outcome))
    page = Page(page_of(folder))
    assert any(f"i-{outcome.value}" in (svg.get("class") or "") for svg in page.all("svg"))
    assert page.text.lower().index(outcome.value) < page.text.index("The shop keeps")
    told = (folder / "report.txt").read_text()
    assert told.startswith(outcome.value.upper())


def test_the_page_has_every_finding_and_fault_with_value_limit_and_evidence(tmp_path: Path) -> None:
    made = MadeRun(outcome=Outcome.FAILED)
    page = Page(page_of(make_run(tmp_path, made)))
    for finding in verdict(made).findings:
        assert finding.assertion in page.text
    assert "128 ms" in page.text
    assert "110 ms" in page.text
    assert "scenarios/first_steps.yaml:41" in page.text
    for fault in verdict(made).faults:
        assert fault.name in page.text
        assert fault.evidence in page.text
    assert "by runner" in page.text
    assert "squall run" in page.text
    assert "logs/shop.1.log" in page.text


UNSURE = Finding(
    assertion="p95 < 150ms", when="after", outcome="inconclusive", reason="p95 was 41 ms: cannot tell, needs about 90 more requests",
    value=0.041, limit=0.15, unit="seconds", low=0.031, high=None, confidence=0.95, requests=600, effect=12.0,
    needed_requests=90, needed_seconds=1.5, changed_at=("end of slow-store",),
)  # fmt: skip
CHANGES = (
    Change(at=35.0, what="p95", unit="seconds", before=0.04, after=0.128, cause="start of slow-store"),
    Change(at=52.0, what="error_rate", unit="share", before=0.0, after=0.12),
)


def test_every_report_says_the_interval_and_what_the_requests_tell(tmp_path: Path) -> None:
    folder = make_run(tmp_path, MadeRun(findings=(UNSURE,), outcome=Outcome.INCONCLUSIVE))
    page = Page(page_of(folder))
    for told in (page.text, (folder / "report.txt").read_text(), (folder / "junit.xml").read_text()):
        assert "95 %: 31 ms to no upper end" in told
        assert "tell as much as 50" in told
        assert "needs about 90 more requests" in told
    assert "changed at end of slow-store" in page.text


def test_changes_are_marked_in_the_figures_and_told_with_their_cause(tmp_path: Path) -> None:
    folder = make_run(tmp_path, MadeRun(changes=CHANGES))
    source = visible(page_of(folder))
    latency = source[source.index('id="latency-0"') : source.index('id="errors-0"')]
    errors = source[source.index('id="errors-0"') : source.index('id="throughput-0"')]
    assert "p95 40 ms to 128 ms at +20.0 s: start of slow-store" in latency
    assert "start of slow-store" not in errors
    assert "error_rate 0 % to 12 % at +37.0 s: nothing that was done explains it" in errors
    assert ">?</text>" in errors
    told = (folder / "report.txt").read_text()
    assert "+20.0 s  p95 40 ms to 128 ms: start of slow-store" in told
    assert "+37.0 s  error_rate 0 % to 12 %: nothing that was done explains it" in told


def test_the_page_can_be_used_without_eyes(tmp_path: Path) -> None:
    page = Page(page_of(make_run(tmp_path, MadeRun())))
    assert len(page.all("h1")) == 1
    pictures = [svg for svg in page.all("svg") if svg.get("role") == "img"]
    assert len(pictures) == 6  # the sequence, four of the load, one indicator
    names = {attributes.get("id") for _, attributes in page.tags}
    for picture in pictures:
        assert all(name in names for name in (picture["aria-labelledby"] or "").split())
    assert len(page.all("title")) > len(pictures)
    assert len(page.all("desc")) == len(pictures)
    assert len(page.all("details")) >= len(pictures)
    identities = [attributes["id"] for _, attributes in page.tags if attributes.get("id")]
    assert len(identities) == len(set(identities))


def test_the_page_asks_for_nothing_from_outside(tmp_path: Path) -> None:
    source = visible(page_of(make_run(tmp_path, MadeRun())))
    page = Page(source)
    addresses = [a.get("src") or a.get("href") for _, a in page.tags if a.get("src") or a.get("href")]
    assert addresses == ["data:,"]
    assert not [a for _, a in page.tags for name in a if name.startswith("on") or name == "style"]
    policy = next(a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy


def test_figures_are_complete_by_attributes_alone(tmp_path: Path) -> None:
    evidence = read_evidence(make_run(tmp_path, MadeRun()))
    for figure in figures_of(evidence):
        root = ET.fromstring(draw(figure, evidence.marks))
        spaces = "{http://www.w3.org/2000/svg}"
        for part in root.iter():
            if part.tag in (f"{spaces}path", f"{spaces}rect", f"{spaces}text"):
                assert part.get("fill") or part.get("stroke"), ET.tostring(part)
            assert part.get("style") is None


def test_a_three_second_run_has_a_full_report(tmp_path: Path) -> None:
    evidence = read_evidence(make_run(tmp_path, MadeRun(seconds=3, rate=100)))
    figures = figures_of(evidence)
    assert [figure.title for figure in figures] == [
        "Latency",
        "Error rate",
        "Throughput",
        "Requests in flight",
        "rss",
    ]
    assert all(not figure.empty for figure in figures)
    assert len(figures[0].lines[0].at) >= 10


def test_no_data_is_shown_as_no_data_and_never_as_zero(tmp_path: Path) -> None:
    folder = make_run(tmp_path, MadeRun(loads=False, samples=False))
    evidence = read_evidence(folder)
    figures = figures_of(evidence)
    assert [figure.name for figure in figures] == ["latency-0", "errors-0", "throughput-0", "in-flight-0"]
    for figure in figures:
        assert figure.empty
        assert ">no data</text>" in draw(figure, evidence.marks)
    page = Page(page_of(folder))
    assert page.text.count("no data") >= 4


def test_a_gap_breaks_the_line_and_says_so_in_the_table(tmp_path: Path) -> None:
    folder = make_run(tmp_path, MadeRun(gap=(20.0, 24.0)))
    evidence = read_evidence(folder)
    latency = figures_of(evidence)[0]
    p50 = latency.lines[0]
    assert np.isnan(p50.values[(p50.at > 20) & (p50.at < 24)]).all()
    drawn = draw(latency, evidence.marks)
    line = re.search(r'<path class="c0" d="([^"]+)" fill="none" stroke="[^"]+" stroke-width="1.7"', drawn)
    assert line is not None
    assert line[1].count("M") == 2
    assert "points have no data" in drawn


def test_what_never_answers_raises_latency_and_requests_in_flight(tmp_path: Path) -> None:
    evidence = read_evidence(make_run(tmp_path, MadeRun(hangs_from=40.0)))
    series = over_time(evidence.loads["shoppers"], (0.99,))
    assert np.nanmax(series.quantiles[0.99]) == pytest.approx(
        20.0, rel=0.02
    )  # 20 s of waiting at the end of 60
    assert series.in_flight[-1] > 1000
    assert series.ended[-1] == 0


def test_quantiles_of_the_figures_are_order_statistics() -> None:
    rng = np.random.default_rng(7)
    values = rng.lognormal(-4, 1, 5000)
    group = rng.integers(0, 5, 5000)
    buckets = np.array([histogram.bucket(value) for value in values])
    found = grouped_quantiles(
        group, buckets, np.ones(5000, dtype=np.int64), groups=6, quantiles=(0.5, 0.99, 1.0)
    )
    for quantile, line in found.items():
        for number in range(5):
            own = np.sort(values[group == number])
            exact = own[max(1, int(np.ceil(quantile * len(own) - 1e-9))) - 1]
            assert line[number] == pytest.approx(exact, rel=0.001)
        assert np.isnan(line[5])


def test_rates_and_requests_in_flight_add_up(tmp_path: Path) -> None:
    evidence = read_evidence(make_run(tmp_path, MadeRun()))
    requests = evidence.loads["shoppers"]
    series = over_time(requests, (0.5,))
    assert np.nansum(series.ended) * series.width == pytest.approx(requests.count.sum())
    assert np.nanmean(series.offered) == pytest.approx(60, rel=0.01)
    mean_latency = sum(
        histogram.value(int(b)) * int(c) for b, c in zip(requests.bucket, requests.count, strict=True)
    )
    assert np.nansum(series.in_flight) * series.width == pytest.approx(mean_latency, rel=0.15)  # Little's law


def test_thinning_keeps_the_highest_and_the_lowest_point() -> None:
    values = np.sin(np.arange(100_000) / 50)
    values[77_777] = 42.0
    at, kept = thin(np.arange(100_000.0), values, MOST_BUCKETS)
    assert len(kept) <= 2 * MOST_BUCKETS
    assert kept.max() == 42.0
    assert kept.min() == values.min()
    assert (np.diff(at) > 0).all()


def test_fault_windows_phases_halt_and_limits_are_in_the_picture(tmp_path: Path) -> None:
    evidence = read_evidence(make_run(tmp_path, MadeRun(halted=True, outcome=Outcome.HALTED)))
    drawn = draw(figures_of(evidence)[0], evidence.marks)
    for word in (">kill-one</text>", ">before</text>", ">warm-up</text>", "■ halt", "p95 &lt; 150ms"):
        assert word in drawn
    errors = draw(figures_of(evidence)[1], evidence.marks)
    assert "halt if error_rate &gt; 0.2" in errors


def test_a_fault_whose_end_is_not_on_record_stays_open(tmp_path: Path) -> None:
    evidence = read_evidence(make_run(tmp_path, MadeRun()))
    lost = [
        e
        for e in evidence.events
        if not (isinstance(e, ActChanged) and e.state == "clean" and e.fault == "slow-store")
    ]
    encoder = msgspec.json.Encoder()
    (tmp_path / "timeline.jsonl").write_bytes(b"".join(encoder.encode(e) + b"\n" for e in lost))
    bands = {band.name: band for band in read_evidence(tmp_path).marks.bands}
    assert bands["slow-store"].open
    assert not bands["kill-one"].open


def test_what_the_guardian_wrote_after_the_runners_death_is_in_the_report(tmp_path: Path) -> None:
    make_run(tmp_path)
    told = ActChanged(
        at=50.0,
        act="x",
        fault="slow-store",
        kind="latency",
        instance="store",
        state="dirty",
        by="guardian",
        evidence="a hand was lost",
    )
    (tmp_path / "guardian.jsonl").write_bytes(msgspec.json.encode(told) + b"\n")
    assert "a hand was lost" in Page(page_of(tmp_path)).text


def test_fifty_thousand_error_texts_and_names_do_not_grow_the_page(tmp_path: Path) -> None:
    few = make_run(tmp_path / "few", MadeRun(rate=200))
    errors = tuple(f"ConnectionError(order {number} of {number * 7919})" for number in range(30_000))
    names = tuple(f"GET /orders/{number}" for number in range(20_000))
    many = make_run(tmp_path / "many", MadeRun(rate=200, errors=errors, names=names))
    small, big = len(page_of(few)), len(page_of(many))
    assert big < small * 1.1
    page = Page((many / "report.html").read_text())
    assert re.search(r"and [\d,]+ more names with [\d,]+ requests", page.text)
    assert len((many / "junit.xml").read_text()) < 50_000


def test_an_hour_fits_into_two_and_a_half_megabytes(tmp_path: Path) -> None:
    folder = make_run(tmp_path, MadeRun(seconds=3600, rate=20))
    assert len(page_of(folder).encode()) <= LIMIT


def test_an_hour_of_a_hundred_lines_fits_too(tmp_path: Path) -> None:
    samples: list[Event] = [
        Sample(
            at=float(at),
            indicator=f"indicator {number}",
            instance=f"instance.{turn}",
            value=math.sin(at * turn) * 1234.5,
        )
        for at in range(1, 3600, 2)
        for number in range(12)
        for turn in range(8)
    ]
    folder = make_run(tmp_path, MadeRun(seconds=3600, rate=2, samples=False, extra=samples))
    assert len(page_of(folder).encode()) <= LIMIT


def test_a_hostile_name_is_only_text_in_every_report(tmp_path: Path) -> None:
    made = MadeRun(
        seconds=6,
        rate=400,
        hostile=CANARY,
        names=("GET /" + CANARY, "GET /x"),
        notes=(CANARY,),
        outcome=Outcome.FAILED,
    )
    folder = _written_with_surrogates(tmp_path, made)
    write_reports(folder)
    page = Page((folder / "report.html").read_text(encoding="utf-8"))
    assert not page.all("img")
    assert not page.all("a")
    assert "<img src=x onerror=alert(1)>" in page.text
    assert "{{7*7}}" in page.text
    for name in ("report.txt", "report.html", "junit.xml"):
        content = (folder / name).read_text(encoding="utf-8")
        bad = [
            c
            for c in content
            if (ord(c) < 32 and c != "\n") or 0x7F <= ord(c) <= 0x9F or 0x202A <= ord(c) <= 0x202E
        ]
        assert not bad, name
    parse_twice((folder / "junit.xml").read_text(encoding="utf-8"))


def _written_with_surrogates(folder: Path, made: MadeRun) -> Path:
    """JSON cannot hold a lone surrogate: what is written has the others."""
    clean = {name: getattr(made, name) for name in MadeRun.__dataclass_fields__}
    clean |= {
        "hostile": made.hostile.replace("\ud800", ""),
        "names": tuple(n.replace("\ud800", "") for n in made.names),
    }
    clean["notes"] = tuple(note.replace("\ud800", "") for note in made.notes)
    return make_run(folder, MadeRun(**clean))


def test_contrast_of_words_is_at_least_four_and_a_half_in_both_themes() -> None:
    css = (Path(__file__).parent.parent / "runner/report/page.css").read_text()
    light, dark = css.split("prefers-color-scheme: dark", 1)
    for part in (light, dark):
        colours = dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6})", part))
        grounds = [
            colours[name] for name in colours if name in ("paper", "ground") or name.startswith("tint-")
        ]
        for name in ("ink", "muted", "bad", "link"):
            for ground in grounds:
                assert contrast(colours[name], ground) >= 4.5, (name, ground)
        assert contrast(colours["amber"], colours["paper"]) >= 4.5


def contrast(one: str, other: str) -> float:
    """The ratio of WCAG 2."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def parse_twice(source: str) -> ET.Element:
    """Read the document with two parsers."""
    assert xml.dom.minidom.parseString(source.encode()).documentElement.tagName == "testsuites"
    return ET.fromstring(source)


def test_junit_has_one_case_a_finding_with_the_sentence_in_its_text(tmp_path: Path) -> None:
    made = MadeRun(outcome=Outcome.FAILED)
    write_reports(make_run(tmp_path, made))
    root = parse_twice((tmp_path / "junit.xml").read_text())
    (suite,) = root
    cases = suite.findall("testcase")
    assert [case.get("name") for case in cases] == [
        f"{f.when}: {f.assertion}" for f in verdict(made).findings
    ]
    assert {case.get("classname") for case in cases} == {"first_steps"}
    (failure,) = suite.iter("failure")
    assert "16 % over the limit" in (failure.text or "")
    assert "scenarios/first_steps.yaml:41" in (failure.text or "")
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("4", "1", "0")
    properties = {one.get("name"): one.get("value") for one in suite.iter("property")}
    assert properties["outcome"] == "failed"
    assert properties["environment"] == "local"


def test_junit_tells_inconclusive_from_broken(tmp_path: Path) -> None:
    root = parse_twice(junit([verdict(MadeRun(outcome=Outcome.INCONCLUSIVE))]))
    (error,) = root.iter("error")
    assert error.get("type") == "inconclusive"
    assert "rss had no samples" in (error.text or "")


@pytest.mark.parametrize("outcome", [Outcome.HALTED, Outcome.DIRTY, Outcome.DEFECT])
def test_a_run_that_was_stopped_is_an_error_of_its_own(outcome: Outcome) -> None:
    root = parse_twice(junit([verdict(MadeRun(outcome=outcome))]))
    (error,) = root.iter("error")
    assert error.get("type") == outcome.value
    assert root.get("tests") == "5"


def test_equal_names_are_numbered_because_gitlab_drops_all_but_the_first() -> None:
    same = Finding(assertion="p95 < 1s", when="always", outcome="held", reason="")
    made = MadeRun(findings=(same, same, same))
    root = parse_twice(junit([verdict(made), verdict(made)], ["a", "b"]))
    names = [(case.get("classname"), case.get("name")) for case in root.iter("testcase")]
    assert len(names) == len(set(names)) == 6
    assert [one.get("value") for one in root.iter("property") if one.get("name") == "report"] == ["a", "b"]


def test_a_run_without_findings_is_not_an_empty_suite() -> None:
    root = parse_twice(junit([verdict(MadeRun(findings=()))]))
    assert root.get("tests") == "1"


def test_the_text_report_puts_the_decisive_things_first_and_what_is_broken_in_capitals(
    tmp_path: Path,
) -> None:
    lines = text(verdict(MadeRun(outcome=Outcome.FAILED))).splitlines()
    assert lines[0] == "FAILED: The shop keeps its promise while one of three web processes dies"
    assert "p95 128 ms, limit 110 ms" in lines[1]
    (broken,) = [line for line in lines if "BROKEN" in line]
    assert "during slow-store: p95 < 110ms" in broken
    assert all(len(line) <= 160 for line in lines)


def test_the_last_line_names_outcome_reason_and_path() -> None:
    assert last_line(verdict(MadeRun()), Path("reports/first_steps/x")) == (
        "passed: 4 of 4 assertions held; 2 of 2 faults confirmed, reports/first_steps/x"
    )


def test_a_dirty_fault_says_how_to_mend_it_by_hand(tmp_path: Path) -> None:
    whole = verdict(MadeRun(outcome=Outcome.DIRTY))
    spoilt = msgspec.structs.replace(
        whole.faults[1], dirty="latency is still 80 ms\nrun: squall rollback", reverted_at=None
    )
    dirty = msgspec.structs.replace(whole, faults=(whole.faults[0], spoilt))
    assert "DIRTY, mend by hand: latency is still 80 ms\n        run: squall rollback" in text(dirty)
    make_run(tmp_path)
    (tmp_path / "verdict.json").write_bytes(msgspec.json.encode(dirty))
    page = Page(page_of(tmp_path))
    assert "No: slow-store" in page.text
    assert "latency is still 80 ms" in page.text


def test_the_command_to_make_it_again_carries_environment_and_parameters(tmp_path: Path) -> None:
    evidence = read_evidence(make_run(tmp_path, MadeRun()))
    assert evidence.again == "squall run /w/scenarios/first_steps.yaml --env local --set rate=60/s"


def test_values_are_said_with_the_unit_that_fits() -> None:
    said = {
        (0.188, "seconds"): "188 ms", (1.5, "seconds"): "1.5 s", (0.00042, "seconds"): "420 µs", (185.0, "seconds"): "3 min 05 s",
        (0.0125, "share"): "1.25 %", (59.84, "per second"): "59.8/s", (2.5 * 2**20, "bytes"): "2.5 MiB", (1234.0, "count"): "1 234",
        (None, "seconds"): "no data", (float("nan"), "share"): "no data", (0.0, "share"): "0 %", (1.25e6, ""): "1.25 M",
    }  # fmt: skip
    for (value, unit), words in said.items():
        assert quantity(value, unit) == words
    assert clock(12.34, 2.0) == "+10.3 s"
    assert clock(1.0, 2.0) == "-1.0 s"
    assert clock(None) == "never"


def test_an_assertion_about_a_part_draws_no_limit_over_the_whole() -> None:
    assert subject("p95 < 150ms") == "p95"
    assert subject("p99.9 < 2s over 5s") == "p99.9"
    assert subject("error_rate{POST /order} < 3%") == ""
    assert subject("p95 of checkout < 1s") == ""


@pytest.mark.parametrize("seconds", [0.0, 0.3, 3.0, 45.0, 600.0, 3600.0, 86400.0])
def test_axes_have_a_few_ticks_inside_whatever_the_length(seconds: float) -> None:
    marks = Marks(zero=seconds / 3, start=0.0, end=seconds)
    ticks = time_axis(marks, 0, 900).ticks
    assert 1 <= len(ticks) <= 12
    figure = Figure(
        "x", "x", "seconds", (Line("a", np.array([0.0, 1.0]), np.array([0.01, max(seconds, 0.01)])),)
    )
    axis = value_axis(figure, 250, 50)
    assert 2 <= len(axis.ticks) <= 13
    assert all(50 <= axis.place(value) <= 250 for value, _ in axis.ticks)


def test_a_halt_mark_comes_from_the_record(tmp_path: Path) -> None:
    pulled = HaltPulled(at=30.0, cause="signal", reason="SIGTERM")
    evidence = read_evidence(make_run(tmp_path, MadeRun(extra=[pulled])))
    assert [mark.at for mark in evidence.marks.halts] == [30.0]


def test_the_points_for_zooming_are_json_of_at_most_two_thousand_a_line(tmp_path: Path) -> None:
    from runner.report.zoom import MOST_POINTS, points

    evidence = read_evidence(make_run(tmp_path, MadeRun(hostile="<b>")))
    told = json.loads(points(figures_of(evidence), evidence.marks))
    for figure in told.values():
        assert all(len(line["x"]) == len(line["y"]) <= MOST_POINTS for line in figure["lines"])
        assert "<" not in figure["title"] + "".join(band["text"] for band in figure["bands"])
