"""How a confidence is written; and what only a halt may ask for, in which form: evidence, the whole run, a budget."""

from __future__ import annotations

from runner import units
from runner.assertions import WHOLE_RUN, Assertion
from runner.statistics.selection import is_of_load

_FORMS = "error_rate > 1%, success_rate < 99%, p95 > 300ms, error_rate > 3x before or error_rate{…} > 1.2x error_rate{…}"


def parse_confidence(text: str) -> float:
    """Read `99%` as 0.99, `none` as 0.0: by points alone. Raises QuantityError."""
    if text == "none":
        return 0.0
    share = units.parse("share", text)
    if not 0 < share < 1:
        raise units.QuantityError(f'"{text}" is not between 0% and 100%; write 95%, 99% or none')
    return share


def objection(rule: Assertion, section: str) -> str:
    """Say what is wrong with `over run`, a budget's bound or the confidence of *rule*; empty where nothing is."""
    if rule.over is not None and rule.over >= WHOLE_RUN:
        if section != "halt":
            return "a finding looks at its whole window anyway; remove `over run`"
        if rule.lasting is not None:
            return "what is counted over the whole run does not end; remove `for`"
        if not is_of_load(rule.term):
            return "`over run` counts requests; give another time, such as over 1m"
    if section == "halt" and rule.term.name == "budget" and (rule.bound.value is None or rule.within):
        return f"a budget is a share already; write {rule.term.text} > 2%"
    return _of_confidence(rule) if section == "halt" and rule.confidence else ""


def _of_confidence(rule: Assertion) -> str:
    name, of_latency = rule.term.name, rule.term.name == "quantile" and not rule.term.of
    if rule.within is not None or not (of_latency or name in ("error_rate", "success_rate")):
        return f"a halt with a confidence counts bad requests; write {_FORMS}, or remove the confidence"
    wanted = ("<", "<=") if name == "success_rate" else (">", ">=")
    if rule.op not in wanted:
        return f"halts where the system is well; write {rule.term.text} {wanted[0]} {rule.bound.text}"
    if rule.over is not None:
        return (
            "evidence adds up since t = 0 and anew since every fault and every few seconds; remove `over`, "
            "or remove the confidence for a plain threshold"
        )
    if rule.lasting is not None:
        return "evidence that suffices stays sufficient; remove `for`, or remove the confidence"
    return _of_bound(rule)


def _of_bound(rule: Assertion) -> str:
    bound, other = rule.bound, rule.bound.term
    if other is not None and (other.name != "error_rate" or rule.term.name != "error_rate" or other.of):
        return "two groups of requests are compared by their errors; write error_rate{…} > 1.2x error_rate{…}"
    if other is not None and (rule.term.selector.each or other.selector.each):
        return "each cannot be compared with another group; name the requests"
    if bound.factor is not None and bound.factor > 1 and rule.term.name == "success_rate":
        return "is true of a system as it was before; write at most 1x"
    if bound.factor is not None and bound.factor <= 0:
        return "0x is never exceeded by chance alone; write a factor such as 1.2x"
    if bound.value is None:
        return ""
    if rule.term.name == "quantile":
        return "" if bound.value > 0 else "no request takes no time; write a limit such as 300ms"
    allowed = 1 - bound.value if rule.term.name == "success_rate" else bound.value
    if allowed <= 0:
        return "allows no error, so the first decides and needs no confidence; write errors > 0 over run"
    return "" if allowed < 1 else "can never be exceeded; write a share between 0% and 100%"
