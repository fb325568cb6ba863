"""What a load worker tells the runner every 100 ms: additive cells, pending requests, its own health.

A *slot* is 100 ms of the run: slot n covers [n, n + 1) * SLOT seconds after the run's anchor.
On disk and on the pipe a chunk is a 4-byte little-endian length and a msgpack map.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

import msgspec

SLOT = 0.1  # seconds
ROW = struct.Struct("<IIHHI")  # start slot, end slot, key, bucket, count: 16 bytes


class Key(msgspec.Struct, frozen=True, array_like=True):
    """What a row is about. *code* is the HTTP status (0: none); *error* is empty for a success.

    *request* is `METHOD name`, as Locust's request_type and name. *labels*: `label=value` pairs that were asked for.
    """

    request: str
    code: int = 0
    error: str = ""
    labels: tuple[str, ...] = ()


class Chunk(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One flush of one worker.

    keys: new keys, numbered on from those of earlier chunks of this worker (a row's key indexes that list).
    rows: packed ROWs; additive; a request counts in the chunk after it ended. Start is the slot of its intended start.
    pending: (start slot, request, count) of requests without an answer, as of now; replaces the last chunk's.
    watermark: every request that ended before this slot is in this or an earlier chunk.
    offered and started: arrivals due and begun since the last chunk (open model), by slot of intended start.
    lag: seconds between intended and true start, since the last chunk: (count, sum, max).
    cpu: share of one core since the last chunk. users: users now. final: the last chunk of this worker.
    tracebacks: text of new exceptions of user code, folded, with counts. problem: why it ended, if not as ordered.
    """

    load: str
    worker: int
    sequence: int
    at: float  # seconds since the anchor
    watermark: int
    keys: list[Key] = []
    rows: bytes = b""
    pending: list[tuple[int, str, int]] = []
    offered: list[tuple[int, int]] = []
    started: list[tuple[int, int]] = []
    lag: tuple[int, float, float] = (0, 0.0, 0.0)
    cpu: float = 0.0
    users: int = 0
    dropped: int = 0  # arrivals not begun because too many were in flight
    tracebacks: dict[str, int] = {}
    final: bool = False
    problem: str = ""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Chunk)


def pack(chunk: Chunk) -> bytes:
    """Encode with its length in front."""
    body = _encoder.encode(chunk)
    return len(body).to_bytes(4, "little") + body


def unpack(stream: BinaryIO) -> Iterator[Chunk]:
    """Read chunks until the end; a torn last one is left out."""
    while len(head := stream.read(4)) == 4:
        body = stream.read(int.from_bytes(head, "little"))
        if len(body) < int.from_bytes(head, "little"):
            return
        yield _decoder.decode(body)
