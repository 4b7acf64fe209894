"""Comparisons and failures → one verdict. Every threshold and every precedence is decided in this room."""

from validator.verdict.gate import apply_gate, judge_run, worst_first
from validator.verdict.judge import CellEvidence, judge_cell
from validator.verdict.outputs import OutputEvidence

__all__ = ["CellEvidence", "OutputEvidence", "apply_gate", "judge_cell", "judge_run", "worst_first"]
