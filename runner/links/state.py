"""What is said over a link's control socket: requests and answers as values, one JSON packet each."""

from __future__ import annotations

from typing import Literal

import msgspec

from runner.links.properties import Value

PACKET = 1 << 16  # bytes, the most that one packet may have


class Order(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`get` the state, or `set` a property (value null: heal it), only where it is *expect* or healed."""

    verb: Literal["get", "set"]
    property: str = ""
    value: Value | None = None
    expect: Value | None = None


class PropertyState(msgspec.Struct, frozen=True, kw_only=True):
    """A property that is set, and what it did since: *seconds* is the delay of all its chunks, summed."""

    value: Value
    connections: int = 0
    chunks: int = 0
    bytes: int = 0
    seconds: float = 0.0


class LinkState(msgspec.Struct, frozen=True, kw_only=True):
    """A link: where it listens, how many connections it has, the properties that are set."""

    link: str
    address: str
    port: int
    connections: int
    guarded: bool
    properties: dict[str, PropertyState] = {}


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """*done*: false where a value that is not ours was left alone. *error*: why nothing was done."""

    done: bool = True
    error: str = ""
    state: LinkState | None = None
