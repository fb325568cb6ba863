"""What a rollout does to the pods of a workload: how many may be down at once, as its update strategy says."""

from __future__ import annotations

from typing import Any


def unavailable(kind: str, workload: dict[str, Any]) -> int:
    """The most pods that a rollout of a *kind* of workload has down at once.

    As apps/v1 documents it: percentages are of the pods that are wanted, of a deployment rounded down, else up.
    """
    spec, status = workload.get("spec") or {}, workload.get("status") or {}
    wanted: int = spec.get("replicas", 1)
    match kind:
        case "deployment":
            return _of_deployment(spec.get("strategy") or {}, wanted)
        case "statefulset":
            rolling = _rolling(spec)
            replaced = max(0, wanted - int(rolling.get("partition", 0)))
            return min(replaced, _scaled(rolling.get("maxUnavailable", 1), wanted, up=True))
        case "daemonset":
            rolling, wanted = _rolling(spec), status.get("desiredNumberScheduled", 0)
            down = _scaled(rolling.get("maxUnavailable", 1), wanted, up=True)
            return down if down or _scaled(rolling.get("maxSurge", 0), wanted, up=True) else 1
    return 0


def replaces_nobody(kind: str, workload: dict[str, Any]) -> str:
    """Say why a rollout changes no pod; empty: it changes some."""
    spec = workload.get("spec") or {}
    if (spec.get("updateStrategy") or {}).get("type") == "OnDelete":
        return "its update strategy is OnDelete"
    if kind == "deployment" and spec.get("paused"):
        return "it is paused"
    partition = _rolling(spec).get("partition", 0)
    return f"its partition is {partition}" if partition and partition >= spec.get("replicas", 1) else ""


def _of_deployment(strategy: dict[str, Any], wanted: int) -> int:
    if strategy.get("type") == "Recreate":
        return wanted
    rolling = strategy.get("rollingUpdate") or {}
    down = _scaled(rolling.get("maxUnavailable", "25%"), wanted, up=False)
    return down if down or _scaled(rolling.get("maxSurge", "25%"), wanted, up=True) else 1


def _rolling(spec: dict[str, Any]) -> dict[str, Any]:
    return (spec.get("updateStrategy") or {}).get("rollingUpdate") or {}


def _scaled(value: int | str, wanted: int, *, up: bool) -> int:
    if isinstance(value, int):
        return value
    hundredths = int(value.removesuffix("%")) * wanted
    return -(-hundredths // 100) if up else hundredths // 100
