"""Label selectors as a query of the API takes them."""

from __future__ import annotations

from typing import Any

_OPERATORS = {"In": "in", "NotIn": "notin"}


def selector_text(selector: dict[str, Any]) -> str:
    """Write the selector of a workload as a query takes it."""
    terms = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for one in selector.get("matchExpressions") or ():
        if one["operator"] in _OPERATORS:
            terms.append(f"{one['key']} {_OPERATORS[one['operator']]} ({','.join(one['values'])})")
        else:
            terms.append(one["key"] if one["operator"] == "Exists" else f"!{one['key']}")
    return ",".join(terms)
