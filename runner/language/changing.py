"""Change values of a document before it is read: one knob turned, as a search for the largest bearable fault does."""

from __future__ import annotations

from collections.abc import Mapping as Items
from dataclasses import replace

from runner.errors import Mistake
from runner.language.document import Mapping, Node, Scalar
from runner.language.substitution import nearest


def changed(root: Mapping, changes: Items[str, str]) -> Mapping:
    """Give *root* other values: path of keys (`faults.slow-store.delay`) -> text. Raises Mistake where there is no such path.

    A last key that is not written there is added: its place is that of the mapping it joins.
    """
    for path, text in changes.items():
        root = _with(root, path.split("."), text, path)
    return root


def _with(node: Mapping, keys: list[str], text: str, path: str) -> Mapping:
    name, rest = keys[0], keys[1:]
    key, old = node.entries.get(name, (Scalar(name, node.place), None))
    if not rest:
        fresh: Node = Scalar(text, old.place if old is not None else node.place)
    elif isinstance(old, Mapping):
        fresh = _with(old, rest, text, path)
    else:
        raise Mistake(node.place, path, f"{name} is no mapping here{nearest(name, node.entries)}")
    return replace(node, entries={**node.entries, name: (key, fresh)})
