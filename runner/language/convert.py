"""From what is written to typed records: any Struct is read by the annotations of its fields."""

from __future__ import annotations

import functools
import types
from collections.abc import Iterable
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin

import msgspec
from msgspec.structs import FieldInfo

from runner.errors import Mistake
from runner.language.substitution import nearest
from runner.language.written import Written, one_line
from runner.units import Quantity

S = TypeVar("S", bound=msgspec.Struct)

_LIKELY_MILLISECONDS = {"delay", "jitter"}


def read_struct(written: Written, kind: type[S], **given: Any) -> S:
    """Read a mapping as the Struct *kind*; fields in *given* are filled by the caller, never by the file."""
    return read_fields(written, written.entries(), kind, given=given)


def read_fields(
    written: Written,
    entries: dict[str, Written],
    kind: type[S],
    *,
    given: dict[str, Any] | None = None,
    also: Iterable[str] = (),
) -> S:
    """Read *entries* as the fields of *kind*. Unknown and missing keys are Mistakes; *also* names keys known elsewhere."""
    given = given or {}
    fields = {field.encode_name: field for field in _fields(kind) if field.name not in given}
    refuse_unknown(entries, [*fields, *also])
    values: dict[str, Any] = dict(given)
    for name, field in fields.items():
        if name in entries:
            values[field.name] = read(
                entries[name], field.type, likely="ms" if name in _LIKELY_MILLISECONDS else ""
            )
        elif field.required:
            written.refuse(f"lacks `{name}`")
    try:
        made = kind(**values)
    except ValueError as error:  # a record's own check of its knobs, in __post_init__
        culprit = entries.get(str(error).split(" ", 1)[0], written)  # the message begins with the knob's name
        raise Mistake(culprit.place, culprit.path, one_line(str(error))) from None
    return made


@functools.cache
def _fields(kind: type[msgspec.Struct]) -> tuple[FieldInfo, ...]:
    """The fields of a record; evaluating their annotations anew for each entry is most of the reading time."""
    return msgspec.structs.fields(kind)


def refuse_unknown(entries: dict[str, Written], known: Iterable[str]) -> None:
    """Refuse the first key that is not among *known*."""
    names = list(known)
    for name, entry in entries.items():
        if name not in names:
            entry.refuse_key(f"unknown key{nearest(name, names)}")


def check_ranges(written: Written, entries: dict[str, Written], made: S) -> S:
    """Check the constraints (`Meta`) of a record that was read, by converting it to itself."""
    try:
        msgspec.convert(msgspec.to_builtins(made), type(made))
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$.")
        culprit = entries.get(where.rstrip("`"), written)
        raise Mistake(culprit.place, culprit.path, what[:1].lower() + what[1:]) from None
    return made


def read(written: Written, kind: Any, *, likely: str = "") -> Any:
    """Read one value as the annotation *kind* says."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _annotated(written, arguments, likely)
    if kind is Written:
        return written
    if origin is Literal:
        return written.choice(str(word) for word in arguments if word != "")
    if origin in (Union, types.UnionType):
        return _either(written, [a for a in arguments if a is not type(None)], likely)
    if origin is tuple:
        return tuple(read(item, arguments[0]) for item in _items(written))
    if origin is dict:
        return {name: read(entry, arguments[1]) for name, entry in written.entries().items()}
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return read_struct(written, kind)
    return _plain(written, kind)


def _plain(written: Written, kind: Any) -> Any:
    if kind is str:
        return written.filled()
    if kind is bool:
        return written.truth()
    if kind is int:
        return written.whole()
    if kind is float:
        return written.number()
    raise AssertionError(f"{written.path}: no reader for {kind!r}")


def _annotated(written: Written, arguments: tuple[Any, ...], likely: str) -> Any:
    for mark in arguments[1:]:
        if isinstance(mark, Quantity):
            number = written.quantity(mark.kind, likely=likely if mark.kind == "duration" else "")
            return round(number) if arguments[0] is int else number
    return read(written, arguments[0], likely=likely)


def _either(written: Written, kinds: list[Any], likely: str) -> Any:
    """Read as the first of *kinds* that fits; where none does, the first one's complaint stands."""
    first: Mistake | None = None
    for kind in kinds:
        try:
            return read(written, kind, likely=likely)
        except Mistake as mistake:
            first = first or mistake
    raise cast("Mistake", first)


def _items(written: Written) -> list[Written]:
    if written.is_text and written.text().strip():
        words = ", ".join(written.text().split())
        written.refuse(f"is a list; write [{words}]")
    return written.items()
