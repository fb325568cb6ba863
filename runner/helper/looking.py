"""Looking at a node from a helper that is there only for that."""

from __future__ import annotations

import os
import select

import msgspec

from runner import clock
from runner.errors import OperationFailed
from runner.helper.posting import ground, labels_of, name_of
from runner.helper.protocol import NodeFacts, Orders, line, read_report
from runner.places import Post

PATIENCE = 30.0  # seconds for the helper to come and to look
_HUNG = 1.0  # seconds between two looks at whether it is there at all


def look(post: Post, containers: tuple[str, ...], run: str = "look") -> NodeFacts:
    """Post a helper of the shape `look`, take its facts and remove it. Raises OperationFailed."""
    post = msgspec.structs.replace(post, shape="look")
    place = ground(post)
    act = f"{os.getpid()}-{clock.now()}"
    name = name_of(run, act, "look")
    try:
        stream = place.post(name, labels_of(run, act, "look"))
        try:
            stream.send(line(Orders(role="look", post=post, containers=containers)))
            until = clock.now() + PATIENCE
            while clock.now() < until:
                select.select((stream,), (), (), _HUNG)
                for text in stream.lines():
                    if (report := read_report(text)) and report.facts is not None:
                        return report.facts
                if stream.ended:
                    break
            complaint = getattr(stream, "trouble", b"").decode(errors="replace").strip().splitlines()
        finally:
            stream.close()
    finally:
        place.remove(name, wait=False)
    raise OperationFailed(
        f"the helper that was to look at {post.node or 'the engine'} said nothing"
        + (f": {complaint[-1]}" if complaint else f" within {PATIENCE:g} s")
    )
