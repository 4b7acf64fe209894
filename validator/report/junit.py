"""The report as JUnit XML, which every CI system can show."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from validator.report.content import Content, Row
from validator.report.figures import NONE
from validator.report.lines import numbers
from validator.report.phrases import unmarked
from validator.report.words import WordsByCheck, registered_words
from validator.report.words.cell import result
from validator.text import multiline, plain, tail
from validator.verdict.gate import overall
from validator.verdict.results import Report

LIMIT, LOG_LIMIT = 1000, 20_000
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def dump(report: Report, *, checks: WordsByCheck | None = None) -> str:
    """One suite per model, one test case per cell.

    What the gate fails on, and everything when the run cannot be judged, is a failure (an error where nothing
    could be compared), so that the file agrees with the exit code. What the gate lets pass has its words in
    `system-out`; a cell that was not compared is then `skipped`, never passed.
    """
    content = Content(report, checks or registered_words())
    root = ElementTree.Element("testsuites", name="keras-validator")
    for model in report.models:
        suite = ElementTree.SubElement(root, "testsuite", name=_clean(model.name))
        if report.started:
            suite.set("timestamp", _clean(report.started.removesuffix("Z")))
        cases = [_case(suite, Row(model.name, cell, content.checks), content) for cell in model.cells]
        _count(suite, cases)
    _count(root, root.findall("./testsuite/testcase"))
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _case(suite: ElementTree.Element, row: Row, content: Content) -> ElementTree.Element:
    cell = row.cell
    case = ElementTree.SubElement(suite, "testcase", classname=_clean(row.model), name=_clean(cell.cell))
    case.set("time", f"{cell.seconds or 0:.3f}")
    message = _clean(unmarked(result(row)))
    if cell.gated or (content.report.verdict == "inconclusive" and not row.green):
        kind = "failure" if row.compared else "error"
        ElementTree.SubElement(case, kind, message=message, type=overall(cell)).text = _details(row)
    elif cell.verdict == "not-compared":
        ElementTree.SubElement(case, "skipped", message=message)
    elif not row.green or cell.effect:
        ElementTree.SubElement(case, "system-out").text = _details(row)
    return case


def _details(row: Row) -> str:
    cell = row.cell
    lines = [f"{row.where}: {unmarked(result(row))}" if cell.effect else unmarked(result(row))]
    measured = [(heading, unmarked(entry.words), unmarked(entry.small)) for heading, entry in numbers(row)]
    lines += [f"{heading}: {text} {below}" for heading, text, below in measured if text != NONE]
    lines += [unmarked(remark.words) for remark in row.remarks]
    lines += [f"gate: {', '.join(cell.gated)}"] if cell.gated else []
    lines += [f"again: {cell.reproduce}"] if cell.reproduce else []
    text = "\n".join(plain(line, LIMIT) for line in dict.fromkeys(lines) if line)
    log = tail(row.failure.log.strip() or row.failure.message, LOG_LIMIT) if row.failure else ""
    return _NOT_XML.sub("", multiline(f"{text}\n\n{log}", LOG_LIMIT + 20 * LIMIT))


def _clean(value: str) -> str:
    return _NOT_XML.sub("", plain(value, LIMIT))


def _count(suite: ElementTree.Element, cases: list[ElementTree.Element]) -> None:
    suite.set("tests", str(len(cases)))
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(attribute, str(sum(case.find(tag) is not None for case in cases)))
    suite.set("time", f"{sum(float(case.get('time', 0)) for case in cases):.3f}")
