"""What a part of the shop counts of itself, in the Prometheus text format."""

from __future__ import annotations

from collections import Counter
from time import perf_counter

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Counts:
    """Requests by page and status, and how long they took."""

    def __init__(self, part: str) -> None:
        self.part = part
        self.requests: Counter[tuple[str, int]] = Counter()
        self.buckets = [0] * (len(BOUNDS) + 1)
        self.seconds = 0.0
        self.retries = 0

    def count(self, page: str, status: int, begun: float) -> None:
        """Count one answered request; *begun* is its perf_counter() reading."""
        took = perf_counter() - begun
        self.requests[page, status] += 1
        self.buckets[next((i for i, bound in enumerate(BOUNDS) if took <= bound), len(BOUNDS))] += 1
        self.seconds += took

    def text(self) -> bytes:
        """Say it all for a scrape."""
        name = f"{self.part}_requests_total"
        lines = [f"# TYPE {name} counter"]
        lines += [f'{name}{{page="{p}",code="{c}"}} {n}' for (p, c), n in sorted(self.requests.items())]
        lines += [f"# TYPE {self.part}_retries_total counter", f"{self.part}_retries_total {self.retries}"]
        name, below = f"{self.part}_request_seconds", 0
        lines.append(f"# TYPE {name} histogram")
        for bound, n in zip((*BOUNDS, "+Inf"), self.buckets, strict=True):
            below += n
            lines.append(f'{name}_bucket{{le="{bound}"}} {below}')
        lines += [f"{name}_sum {self.seconds:.6f}", f"{name}_count {below}", ""]
        return "\n".join(lines).encode()


def page_of(path: str) -> str:
    """Name the page of a path, so that a scrape does not grow with the catalogue."""
    return "/item/ID" if path.startswith("/item/") else path.partition("?")[0]
