"""The JSON Schema of scenario and environment files, made from the very types that read it, for editors that complete and check."""

from __future__ import annotations

import inspect
import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from runner.faults import KINDS
from runner.language.moments import NAME
from runner.language.shapes import RESERVED, EnvironmentShape, FaultShape, Holds, ScenarioShape
from runner.language.terms import KIND_OF_OBJECTIVE, KIND_OF_TERM
from runner.language.written import Written
from runner.units import EXAMPLES, Quantity

Schema = dict[str, Any]

_IGNORED = "^x-"
_SUBSTITUTED = {"type": "string", "pattern": r"\$"}  # any value may be a parameter
_TEXT = {"type": ["string", "number", "boolean"]}
_PATTERNS = {
    "duration": r"^([0-9.]+ *(d|h|ms|m|us|µs|s) *)+$",
    "rate": r"^[0-9.]+ */ *(s|sec|second|m|min|minute|h|hour)$",
    "share": r"^[0-9.]+ *%$",
    "size": r"^[0-9.]+ *([kMGT]i?)?B$",
    "bandwidth": r"^[0-9.]+ *([kMGT]i?B|B|[kMG]?bit)/s$",
    "cores": r"^[0-9.]+ *cores?$",
}


def schema() -> Schema:
    """Describe a scenario file as JSON Schema (draft 2020-12)."""
    made = _of_struct(ScenarioShape)
    made["properties"]["faults"] = _named(_of_faults())
    terms = ", ".join(name for name in KIND_OF_TERM if name != "quantile")
    of_promises = ", ".join(f"{name}{{OBJECTIVE}}" for name in KIND_OF_OBJECTIVE)
    made["properties"]["expect"]["description"] = (
        f"WHEN: TERM OP BOUND; terms: p95 (any pN), {terms}, {of_promises}, own indicators: NAME, mean of NAME,"
        " p90 of NAME, trend of NAME"
    )
    for word in RESERVED:
        made["properties"][word] = {"not": {}, "description": "a word of a later version"}
    return _head("Squall scenario") | made


def environment_schema() -> Schema:
    """Describe an environment file as JSON Schema (draft 2020-12)."""
    return _head("Squall environment") | _of_struct(EnvironmentShape)


def _head(title: str) -> Schema:
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title}


def _of_faults() -> Schema:
    return {
        "type": "object",
        "required": ["kind"],
        "oneOf": [_of_fault(word, kind) for word, kind in KINDS.items()],
    }


def _of_fault(word: str, kind: type[msgspec.Struct]) -> Schema:
    common, knobs = _of_struct(FaultShape), _of_struct(kind)
    common["properties"] |= {"kind": {"const": word}} | knobs["properties"]
    required = ["kind", "target", *knobs.get("required", ())] + ([] if word == "kill" else ["for"])
    return common | {"required": required, "description": _summary(kind)}


def _of_struct(kind: type[msgspec.Struct]) -> Schema:
    fields = msgspec.structs.fields(kind)
    required = [field.encode_name for field in fields if field.required]
    made: Schema = {
        "type": "object",
        "description": _summary(kind),
        "properties": {field.encode_name: _of(field.type) for field in fields},
        "patternProperties": {_IGNORED: {}},
        "additionalProperties": False,
    }
    return made | ({"required": required} if required else {})


def _of(kind: Any) -> Schema:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _annotated(arguments)
    if origin is Literal:
        return {"anyOf": [{"enum": [word for word in arguments if word != ""]}, _SUBSTITUTED]}
    if origin in (Union, types.UnionType):
        options = [_of(argument) for argument in arguments if argument is not type(None)]
        return options[0] if len(options) == 1 else {"anyOf": options}
    if origin is tuple:
        return {"type": "array", "items": _of(arguments[0])}
    if origin is dict:
        return _named(_of(arguments[1]))
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _of_struct(kind)
    return _plain(kind)


def _plain(kind: Any) -> Schema:
    if kind is bool:
        return {"anyOf": [{"type": "boolean"}, _SUBSTITUTED]}
    if kind in (int, float):
        return {"anyOf": [{"type": "integer" if kind is int else "number"}, _SUBSTITUTED]}
    return {} if kind is Written else dict(_TEXT)


def _annotated(arguments: tuple[Any, ...]) -> Schema:
    made = _of(arguments[0])
    for mark in arguments[1:]:
        match mark:
            case Quantity(kind=kind):
                pattern = {"type": "string", "pattern": _PATTERNS[kind], "examples": [EXAMPLES[kind]]}
                made = {"anyOf": [pattern, _SUBSTITUTED]}
            case Holds(schema=given, kind=held):
                made = dict(given) if given is not None else _of(held)
            case msgspec.Meta(description=str(description)):
                made = made | {"description": description}
            case _:
                pass
    return made


def _named(value: Schema) -> Schema:
    """A mapping from names to values."""
    return {
        "type": "object",
        "patternProperties": {_IGNORED: {}, f"^{NAME.pattern}$": value},
        "additionalProperties": False,
    }


def _summary(kind: type[msgspec.Struct]) -> str:
    return (inspect.getdoc(kind) or "").partition("\n\n")[0].replace("\n", " ")
