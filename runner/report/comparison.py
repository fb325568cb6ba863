"""The reports of a comparison: JSON, text, one page, JUnit."""

from __future__ import annotations

import textwrap
import xml.etree.ElementTree as ET  # only writes here; nothing foreign is parsed
from pathlib import Path

import msgspec

from runner.report.words import count, digits, moment, quantity
from runner.shown import shown
from runner.verdict.compared import Comparison, Guardrail
from runner.verdict.guardrails import effect, spread

_MARKS = {"pass": "ok", "fail": "WORSE", "inconclusive": "?"}


def write_comparison(comparison: Comparison, folder: Path) -> None:
    """Write comparison.json, comparison.txt and comparison.html, and junit.xml where no run has written its own. Raises OSError."""
    from runner.report.comparison_page import comparison_page  # noqa: PLC0415 - jinja2: only where a page is made

    (folder / "comparison.json").write_bytes(msgspec.json.format(msgspec.json.encode(comparison), indent=1))
    (folder / "comparison.txt").write_text(
        summary(comparison) + "\n" + (_trials(comparison) if comparison.trials else ""), encoding="utf-8"
    )
    if comparison.trials:
        (folder / "junit.xml").write_text(comparison_junit(comparison), encoding="utf-8")
    (folder / "comparison.html").write_text(comparison_page(comparison), encoding="utf-8")


def summary(comparison: Comparison) -> str:
    """Write what was found, for a terminal."""
    lines = [f"{comparison.outcome.value.upper()}: {shown(comparison.title or comparison.scenario)}"]
    lines += _wrapped(comparison.sentence, "  ")
    made = f"{comparison.used} of {count(comparison.planned, comparison.unit.removesuffix('s'), comparison.unit)}"
    lines += ["", f"{made} {comparison.when}: {comparison.variant} against {comparison.baseline}"]
    for rail in comparison.guardrails:
        lines.append(
            f"  {_MARKS[rail.judgement]:<6} {shown(rail.term)}, margin {rail.margin}: {_numbers(rail)}"
        )
        if rail.judgement != "pass":
            lines += _wrapped(rail.reason, " " * 9)
    for one in comparison.explored:
        lines.append(
            f"  -      {one.term}: {effect(one, one.estimate)} ({spread(one)}), differs with p = {one.p:.2g}"
        )
    if comparison.cost is not None:
        lines += ["", "Cost", *_wrapped(cost_line(comparison), "  ")]
    said = [*comparison.invalid, *comparison.notes]
    if said:
        lines += ["", "Notes", *(line for note in said for line in _wrapped(note, "  "))]
    return "\n".join(lines)


def cost_line(comparison: Comparison) -> str:
    """Say what a million good requests cost on each side."""
    cost = comparison.cost
    assert cost is not None
    text = (
        f"{digits(cost.variant)} {cost.currency} per million good requests instead of {digits(cost.baseline)}:"
        f" {cost.ratio:.2f}x (95 %: {cost.low:.2f} to {cost.high:.2f})"
    )
    return f"{text}; {cost.note}" if cost.note else text


def comparison_junit(comparison: Comparison) -> str:
    """Write one suite: a case for each guardrail, and one for the comparison where no guardrail says it all."""
    root = ET.Element("testsuites", name="squall")
    name = shown(f"{comparison.scenario}: {comparison.variant} against {comparison.baseline}", 200)
    suite = ET.SubElement(root, "testsuite", name=name)
    failures = errors = 0
    for rail in comparison.guardrails:
        case = ET.SubElement(
            suite, "testcase", name=shown(f"{rail.term}: {rail.margin}", 400), classname=name
        )
        if rail.judgement == "pass":
            continue
        kind = "failure" if rail.judgement == "fail" else "error"
        failures, errors = failures + (kind == "failure"), errors + (kind == "error")
        what = ET.SubElement(case, kind, type=rail.judgement, message=shown(rail.reason, 300))
        what.text = f"{shown(rail.reason, 2000)}\n{shown(rail.file)}:{rail.line}"
    if comparison.outcome.value not in ("passed", "failed") or not comparison.guardrails:
        case = ET.SubElement(suite, "testcase", name="the comparison", classname=name)
        message = shown(comparison.sentence, 300)
        ET.SubElement(case, "error", type=comparison.outcome.value, message=message).text = shown(
            comparison.sentence, 2000
        )
        errors += 1
    for element in (root, suite):
        element.set("tests", str(len(suite.findall("testcase"))))
        element.set("failures", str(failures))
        element.set("errors", str(errors))
        element.set("skipped", "0")
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def middles(rail: Guardrail) -> str:
    """Say the mean of each side: `101 ms, 103 ms`."""
    if not rail.pairs:
        return "no values"
    sides = [sum(side) / len(rail.pairs) for side in zip(*rail.pairs, strict=True)]
    return f"{quantity(sides[0], rail.unit)} and {quantity(sides[1], rail.unit)}"


def _numbers(rail: Guardrail) -> str:
    if rail.estimate is None:
        return "cannot be told"
    tests = f"p = {rail.p:.2g}" if rail.p is not None else "by the counts of all together"
    tests += f", by permutation {rail.exact:.2g}" if rail.exact is not None else ""
    return f"{effect(rail, rail.estimate)} (95 %: {spread(rail)}), {middles(rail)}; {tests}"


def _trials(comparison: Comparison) -> str:
    lines = ["", "Trials"]
    for trial in comparison.trials:
        unused = f" (not used: {trial.unused})" if trial.unused else ""
        lines.append(
            shown(f"  {moment(trial.started)}  {trial.label}: {trial.outcome.value}{unused}  {trial.folder}")
        )
    return "\n".join(lines) + "\n"


def _wrapped(text: str, indent: str) -> list[str]:
    whole = shown(" ".join(text.split()), 2400)
    return textwrap.wrap(whole, 100, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
