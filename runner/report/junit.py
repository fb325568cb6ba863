"""JUnit XML for CI: one suite a run, one case a finding, the sentence in the text."""

from __future__ import annotations

import xml.etree.ElementTree as ET  # only writes here; nothing foreign is parsed
from collections import Counter
from collections.abc import Sequence

from runner.report.text import confirmation, title, undoing
from runner.report.words import OUTCOME_MEANINGS, basis, measured
from runner.shown import shown
from runner.verdict.record import Finding, Outcome, Verdict

_OWN_CASE = {Outcome.HALTED, Outcome.DIRTY, Outcome.DEFECT, Outcome.REFUSED}
_MOST_CASES = 2_000  # GitLab refuses files of more than 250,000 XML objects
_MOST_TEXT = 2_000


def junit(verdicts: Sequence[Verdict], reports: Sequence[str] = ()) -> str:
    """Write one document for all *verdicts*; *reports*: the path of each one's report, where it has one."""
    root = ET.Element("testsuites", name="squall")
    paths = [*reports, *[""] * (len(verdicts) - len(reports))]
    names: Counter[str] = Counter()
    for verdict, path in zip(verdicts, paths, strict=True):
        root.append(_suite(verdict, path, names))
    for total in ("tests", "failures", "errors", "skipped"):
        root.set(total, str(sum(int(suite.get(total, "0")) for suite in root)))
    root.set("time", f"{sum(verdict.duration for verdict in verdicts):.3f}")
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _suite(verdict: Verdict, path: str, names: Counter[str]) -> ET.Element:
    suite = ET.Element("testsuite", name=_unique(shown(verdict.scenario, 200), names))
    suite.append(_properties(verdict, path))
    cases = [_case(verdict, finding) for finding in verdict.findings[:_MOST_CASES]]
    if (rest := len(verdict.findings) - _MOST_CASES) > 0:
        cases.append(_rest(verdict, rest))
    said = any(finding.outcome == "inconclusive" for finding in verdict.findings)
    if verdict.outcome in _OWN_CASE or not cases or (verdict.outcome is Outcome.INCONCLUSIVE and not said):
        cases.append(_own_case(verdict))
    taken: Counter[str] = Counter()
    for case in cases:
        case.set("name", _unique(case.get("name", ""), taken))
        case.set("classname", suite.get("name", ""))
    suite.extend(cases)
    suite.set("tests", str(len(cases)))
    suite.set("failures", str(sum(case.find("failure") is not None for case in cases)))
    suite.set("errors", str(sum(case.find("error") is not None for case in cases)))
    suite.set("skipped", "0")
    suite.set("time", f"{verdict.duration:.3f}")
    suite.set("timestamp", shown(verdict.started, 40))
    return suite


def _properties(verdict: Verdict, path: str) -> ET.Element:
    facts = {
        "run": verdict.run,
        "outcome": verdict.outcome.value,
        "exit_code": str(verdict.outcome.exit_code),
        "reason": verdict.reason,
        "title": verdict.title,
        "environment": verdict.environment,
        "owner": verdict.owner,
        "report": path,
    }
    for fault in verdict.faults[:100]:
        told = f"{', '.join(fault.whom)}: {confirmation(fault)}; {undoing(fault, verdict.zero)}"
        facts[f"fault {fault.name}/{fault.occurrence}"] = told
    properties = ET.Element("properties")
    for name, value in facts.items():
        if value:
            ET.SubElement(properties, "property", name=shown(name, 200), value=shown(value, _MOST_TEXT))
    return properties


def _case(verdict: Verdict, finding: Finding) -> ET.Element:
    looked = 0.0 if finding.start is None or finding.end is None else max(0.0, finding.end - finding.start)
    case = ET.Element("testcase", name=title(finding), classname=verdict.scenario, time=f"{looked:.3f}")
    if finding.outcome == "held":
        return case
    what = ET.SubElement(case, "failure" if finding.outcome == "broken" else "error", type=finding.outcome)
    what.set("message", shown(finding.reason or measured(finding), 300))
    where = f"\n{shown(finding.file)}:{finding.line}" if finding.file else ""
    behind = f", of {basis(finding)}" if finding.requests else ""
    what.text = f"{shown(finding.reason, _MOST_TEXT)}\nmeasured {measured(finding)}{behind}{where}"
    return case


def _own_case(verdict: Verdict) -> ET.Element:
    """The case of the run itself: what no single finding says."""
    case = ET.Element("testcase", name="the run", classname=verdict.scenario, time="0.000")
    if verdict.outcome is Outcome.PASSED:
        return case
    what = ET.SubElement(
        case, "failure" if verdict.outcome is Outcome.FAILED else "error", type=verdict.outcome.value
    )
    what.set("message", shown(f"{verdict.outcome.value}: {verdict.reason}", 300))
    dirt = [f"{fault.name}: {fault.dirty}" for fault in verdict.faults if fault.dirty]
    lines = [f"{verdict.outcome.value}: {OUTCOME_MEANINGS[verdict.outcome]}", verdict.reason, *dirt[:50]]
    what.text = "\n".join(shown(line, _MOST_TEXT) for line in lines)
    return case


def _rest(verdict: Verdict, rest: int) -> ET.Element:
    """Stand for the findings beyond the limit: broken where one of them is."""
    case = ET.Element("testcase", name=f"and {rest} more findings", classname=verdict.scenario, time="0.000")
    left = verdict.findings[_MOST_CASES:]
    bad = [finding for finding in left if finding.outcome != "held"]
    if bad:
        broken = any(finding.outcome == "broken" for finding in bad)
        what = ET.SubElement(
            case, "failure" if broken else "error", type="broken" if broken else "inconclusive"
        )
        what.text = f"{len(bad)} of them did not hold; see verdict.json"
    return case


def _unique(name: str, taken: Counter[str]) -> str:
    """Number names that come again: GitLab drops all cases of one name but the first."""
    number, whole = 1, name
    while taken[whole]:
        number += 1
        whole = f"{name} ({number})"
    taken[whole] += 1
    return whole
