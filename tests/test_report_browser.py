"""The report in a real browser: complete without scripts and styles, quiet, safe, zoomable, printable."""

from __future__ import annotations

import functools
import http.server
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from runner.report import write_reports
from runner.verdict.record import Outcome
from tests.made_run import MadeRun, make_run

BROWSER = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run", "--disable-dev-shm-usage",
]  # fmt: skip
JENKINS = "sandbox; default-src 'none'; img-src 'self'; style-src 'self';"
CANARY = "<img src=x onerror=alert(1)><script>alert(3)</script>\"'javascript:alert(2)\x1b\x00\u202e{{7*7}}"

pytestmark = pytest.mark.chromium


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not BROWSER.exists():
        if os.environ.get("SQUALL_REQUIRE") == "1":
            pytest.fail(f"{BROWSER} is missing and SQUALL_REQUIRE=1 demands it")
        pytest.skip(f"{BROWSER} is missing: no page can be opened")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=str(BROWSER), args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_run(tmp_path_factory.mktemp("run"), MadeRun(outcome=Outcome.FAILED))
    write_reports(folder)
    return folder / "report.html"


class Visit:
    """A page with everything that it said, asked for or popped up."""

    def __init__(self, browser: Any, **context: Any) -> None:
        self.context = browser.new_context(**context)
        self.page = self.context.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.dialogs: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("dialog", self._dismiss)

    def _dismiss(self, dialog: Any) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()

    def pictures(self) -> list[dict[str, float]]:
        """The boxes of all figures."""
        found: list[dict[str, float]] = [
            one.bounding_box() for one in self.page.locator("svg[role=img]").all()
        ]
        return found


def test_without_scripts_every_finding_and_figure_is_there(browser: Any, report: Path) -> None:
    with Visit(browser, java_script_enabled=False) as visit:
        visit.page.goto(report.as_uri())
        boxes = visit.pictures()
        assert len(boxes) == 6
        assert all(box["width"] > 300 and box["height"] > 60 for box in boxes)
        text = visit.page.inner_text("body")
        for word in ("Failed", "p95 < 110ms", "kill-one", "confirmed", "by runner"):
            assert word in text
        assert not visit.page.locator("button.zoom").first.is_visible()
        assert visit.said == []


def test_opened_from_disk_it_is_silent_and_asks_for_nothing(browser: Any, report: Path) -> None:
    with Visit(browser) as visit:
        visit.page.goto(report.as_uri())
        visit.page.wait_for_load_state("networkidle")
        assert visit.said == []
        assert [url for url in visit.asked if not url.startswith("data:")] == [report.as_uri()]


class _UnderJenkins(http.server.SimpleHTTPRequestHandler):
    def end_headers(self) -> None:
        self.send_header("Content-Security-Policy", JENKINS)
        super().end_headers()

    def log_message(self, *_: object) -> None:
        return


def test_under_the_policy_of_jenkins_every_finding_and_figure_is_there(browser: Any, report: Path) -> None:
    served = functools.partial(_UnderJenkins, directory=str(report.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), served) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            with Visit(browser) as visit:
                visit.page.goto(f"http://127.0.0.1:{server.server_address[1]}/report.html")
                boxes = visit.pictures()
                assert len(boxes) == 6
                assert all(box["width"] > 300 and box["height"] > 60 for box in boxes)
                colours = visit.page.eval_on_selector_all(
                    "svg path.c1", "all => all.map(one => getComputedStyle(one).stroke)"
                )
                assert set(colours) == {"rgb(31, 95, 176)"}
                assert "p95 < 110ms" in visit.page.inner_text("body")
                assert not [
                    url for url in visit.asked if "127.0.0.1" not in url and not url.startswith("data:")
                ]
        finally:
            server.shutdown()
            thread.join()


def test_a_click_on_a_figure_unpacks_plotly_and_a_second_brings_the_picture_back(
    browser: Any, report: Path
) -> None:
    with Visit(browser) as visit:
        visit.page.goto(report.as_uri())
        latency, errors, throughput = (
            visit.page.locator(f"#{name}-0") for name in ("latency", "errors", "throughput")
        )
        latency.locator("button.zoom").click()
        errors.locator(".picture").click()
        throughput.locator("button.zoom").focus()
        visit.page.keyboard.press("Enter")
        for box, lines in ((latency, 3), (errors, 1), (throughput, 2)):
            box.locator(".zoomed .main-svg").first.wait_for(timeout=30_000)
            assert box.locator(".zoomed .scatterlayer .trace").count() == lines
            assert not box.locator(".picture").is_visible()
            box.locator("button.zoom", has_text="Back to the picture").click()
            assert box.locator(".picture").is_visible()
            assert box.locator(".zoomed").count() == 0
        assert visit.said == []
        assert [url for url in visit.asked if not url.startswith("data:")] == [report.as_uri()]


def test_hostile_text_does_nothing_in_any_corner(browser: Any, tmp_path: Path) -> None:
    made = MadeRun(
        seconds=6, rate=300, hostile=CANARY, names=(CANARY, "GET /x"), notes=(CANARY,), outcome=Outcome.FAILED
    )
    folder = make_run(tmp_path, made)
    write_reports(folder)
    with Visit(browser) as visit:
        visit.page.goto((folder / "report.html").as_uri())
        for number in range(visit.page.locator("figure.zoomable").count()):
            box = visit.page.locator("figure.zoomable").nth(number)
            box.locator("button.zoom").click()
            box.locator(".zoomed .main-svg").first.wait_for(timeout=30_000)
        for summary in visit.page.locator("summary").all():
            summary.click()
        assert (
            visit.page.locator("img, a[href], script[src], iframe").count()
            == visit.page.locator(".modebar a[href]").count()
        )
        assert visit.dialogs == []
        assert visit.said == []
        assert not [url for url in visit.asked if not url.startswith(("data:", "file:"))]
        assert "<img src=x onerror=alert(1)>" in visit.page.inner_text("h1")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_is_wider_than_the_screen_but_what_scrolls_by_itself(
    browser: Any, report: Path, width: int, scheme: str
) -> None:
    with Visit(browser, viewport={"width": width, "height": 800}, color_scheme=scheme) as visit:
        visit.page.goto(report.as_uri())
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
        paper = visit.page.evaluate("getComputedStyle(document.querySelector('svg .paper')).fill")
        assert (paper == "rgb(255, 255, 255)") == (scheme == "light")


def test_printed_on_a4_no_figure_is_cut(browser: Any, report: Path) -> None:
    with Visit(browser, viewport={"width": 688, "height": 1000}) as visit:  # A4 less its margins, at 96 dpi
        visit.page.goto(report.as_uri())
        visit.page.emulate_media(media="print")
        assert all(box["x"] >= 0 and box["x"] + box["width"] <= 688 for box in visit.pictures())
        assert (
            visit.page.evaluate("getComputedStyle(document.querySelector('figure')).breakInside") == "avoid"
        )
        assert len(visit.page.pdf(format="A4")) > 10_000


def test_words_in_the_figures_are_readable_in_both_themes(browser: Any, report: Path) -> None:
    from tests.test_report import contrast

    for scheme in ("light", "dark"):
        with Visit(browser, color_scheme=scheme) as visit:
            visit.page.goto(report.as_uri())
            paper = _hex(visit.page.evaluate("getComputedStyle(document.querySelector('svg .paper')).fill"))
            fills = visit.page.eval_on_selector_all(
                "svg[role=img] text", "all => all.map(one => getComputedStyle(one).fill)"
            )
            assert all(contrast(_hex(fill), paper) >= 4.5 for fill in set(fills)), (scheme, set(fills))


def _hex(colour: str) -> str:
    red, green, blue = (int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(","))
    return f"#{red:02x}{green:02x}{blue:02x}"


def test_an_hour_is_drawn_in_time(browser: Any, tmp_path: Path) -> None:
    folder = make_run(tmp_path, MadeRun(seconds=3600, rate=10))
    write_reports(folder)
    with Visit(browser) as visit:
        visit.page.goto((folder / "report.html").as_uri())
        assert len(visit.pictures()) == 6
        visit.page.locator("#latency-0 button.zoom").click()
        visit.page.locator("#latency-0 .zoomed .main-svg").first.wait_for(timeout=30_000)
        assert visit.said == []
