"""Reading once what a check sees at a post, by a helper that does nothing and is gone again."""

from __future__ import annotations

import os
import select
from collections.abc import Callable

from runner import clock
from runner.errors import OperationFailed
from runner.helper.posting import ground, labels_of, name_of
from runner.helper.protocol import Orders, line, read_report
from runner.operations.record import Operation, Reading
from runner.places import Post

PATIENCE = 20.0  # seconds
LOOK = 0.25  # seconds between two looks whether it is over


def glance(
    post: Post, checks: tuple[Operation, ...], run: str, *, over: Callable[[], bool] = bool
) -> tuple[Reading, ...]:
    """Perform *checks* at *post*; nothing is waited for once it is *over*. Raises OperationFailed where no helper looked."""
    place, act = ground(post), f"glance-{os.getpid()}-{clock.now()}"
    name = name_of(run, act, "look")
    try:
        stream = place.post(name, labels_of(run, act, "look"))
        try:
            stream.send(line(Orders(role="hand", post=post, confirm=checks)))
            until = clock.now() + PATIENCE
            while clock.now() < until and not stream.ended and not over():
                select.select((stream,), (), (), LOOK)
                for report in map(read_report, stream.lines()):
                    if report and report.state == "seen":
                        return report.readings
                    if report and report.problem:
                        raise OperationFailed(report.problem)
        finally:
            stream.close()
    finally:
        place.remove(name, wait=False)
    raise OperationFailed(f"the helper that was to look at {post.container[:12] or post.node} said nothing")
