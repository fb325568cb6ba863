"""Debian's real Prometheus, scraping whom a test names."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runs import free_port


@contextlib.contextmanager
def prometheus(folder: Path, target: str, *, every: str = "1s", **more: object) -> Iterator[str]:
    """Start one in *folder* that scrapes *target* (host:port), with *more* configuration; its url, once it does."""
    binary = shutil.which("prometheus")
    if binary is None:
        if os.environ.get("SQUALL_REQUIRE") == "1":
            pytest.fail("no prometheus binary here, and SQUALL_REQUIRE=1")
        pytest.skip("no prometheus binary here: apt-get install prometheus")
    scrape = {"job_name": "x", "static_configs": [{"targets": [target]}]}
    timing = {"scrape_interval": every, "scrape_timeout": every}
    (folder / "c.yml").write_text(json.dumps({"global": timing, "scrape_configs": [scrape], **more}))
    url = f"http://127.0.0.1:{free_port()}"
    argv = [binary, f"--config.file={folder}/c.yml", f"--storage.tsdb.path={folder}/data"]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [*argv, f"--web.listen-address={url.removeprefix('http://')}"], stdout=log, stderr=log
        )
    try:
        _wait_ready(url, folder / "log")
        yield url
    finally:
        server.terminate()
        server.wait(30)


def _wait_ready(url: str, log: Path) -> None:
    """Wait until it has tried to scrape: it begins up to 5 s after it answers."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with (
            contextlib.suppress(urllib.error.URLError, OSError),
            urllib.request.urlopen(f"{url}/api/v1/targets") as answer,
        ):
            targets = json.load(answer)["data"]["activeTargets"]
            if targets and all(each["health"] != "unknown" for each in targets):
                return
        time.sleep(0.05)
    raise AssertionError(log.read_text()[-2000:])
