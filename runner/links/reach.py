"""Where a control socket is, for bind and connect: also behind a path that is too long for them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

LONGEST = 107  # bytes of a path in sockaddr_un


@contextmanager
def reachable(path: str) -> Iterator[str]:
    """Give a name of *path* that fits into a socket's address: a long one goes by its directory's descriptor."""
    if len(os.fsencode(path)) <= LONGEST:
        yield path
        return
    folder, name = os.path.split(path)
    descriptor = os.open(folder or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{name}"
    finally:
        os.close(descriptor)
