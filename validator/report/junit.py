"""The report as JUnit XML, which every CI system can show."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from validator.report import content, wording
from validator.report.content import Row
from validator.results import Report
from validator.text import multiline, plain, tail

LIMIT, LOG_LIMIT = 1000, 20_000
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def dump(report: Report) -> str:
    """One suite per model, one test case per cell.

    What the gate fails on, and everything when the run cannot be judged, is a failure (an error where nothing
    could be compared), so that the file agrees with the exit code. What the gate lets pass has its words in
    `system-out`; a cell that was not compared is then `skipped`, never passed.
    """
    root = ElementTree.Element("testsuites", name="keras-validator")
    for model in report.models:
        rows = [Row(model.name, cell) for cell in model.cells]
        suite = ElementTree.SubElement(root, "testsuite", name=_clean(model.name))
        if report.started:
            suite.set("timestamp", _clean(report.started.removesuffix("Z")))
        cases = [_case(suite, row, report) for row in rows]
        _count(suite, cases)
    _count(root, root.findall("./testsuite/testcase"))
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _case(suite: ElementTree.Element, row: Row, report: Report) -> ElementTree.Element:
    cell = row.cell
    case = ElementTree.SubElement(
        suite,
        "testcase",
        classname=_clean(row.model),
        name=_clean(cell.cell),
        time=f"{cell.seconds or 0:.3f}",
    )
    message = _clean(wording.unmarked(row.happened))
    breaks = bool(cell.gated) or (report.verdict == "inconclusive" and not row.green)
    if breaks:
        kind = "error" if cell.verdict in ("failed", "not-compared") else "failure"
        found = ElementTree.SubElement(case, kind, message=message, type=cell.verdict)
        found.text = _details(row)
    elif cell.verdict == "not-compared":
        ElementTree.SubElement(case, "skipped", message=message)
    elif not row.green:
        ElementTree.SubElement(case, "system-out").text = _details(row)
    return case


def _details(row: Row) -> str:
    cell = row.cell
    lines = [wording.unmarked(row.happened)]
    lines += [wording.unmarked(wording.moved(output)) for _, output in content.outputs([row])]
    lines += [finding.message for finding in cell.findings]
    lines += [f"gate: {', '.join(cell.gated)}"] if cell.gated else []
    lines += [f"again: {cell.reproduce}"] if cell.reproduce else []
    told = "\n".join(plain(line, LIMIT) for line in lines if line)
    log = tail(cell.failure.log.strip() or cell.failure.message, LOG_LIMIT) if cell.failure else ""
    return _NOT_XML.sub("", multiline(f"{told}\n\n{log}", LOG_LIMIT + 20 * LIMIT))


def _clean(value: str) -> str:
    return _NOT_XML.sub("", plain(value, LIMIT))


def _count(suite: ElementTree.Element, cases: list[ElementTree.Element]) -> None:
    suite.set("tests", str(len(cases)))
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(attribute, str(sum(case.find(tag) is not None for case in cases)))
    suite.set("time", f"{sum(float(case.get('time', 0)) for case in cases):.3f}")
