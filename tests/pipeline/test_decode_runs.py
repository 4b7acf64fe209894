"""Whole runs with decode blocks, in real environments: the little Llama, and edits that are known."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import ROOT, share_environments
from validator.results import CellResult, DecodeResult, Report

pytestmark = pytest.mark.environment

PLANTED = {
    "unchanged": ("unchanged", "prompt_length: 3"),
    "drifts": ("drifts", "prompt_length: 3, detokenise: 'decode_project:text'"),
    "ties": ("ties", "prompt_length: 3"),
    "blanks": ("blanks", "prompt_length: 3"),
    "cached": ("unchanged", "prompts: 'decode_project:prompts', protocol: 'decode_project:cached'"),
    "forgets": ("unchanged", "prompt_length: 3, protocol: 'decode_project:forgets'"),
    "pooled": ("pooled", "prompt_length: 3"),
}
LLAMA = """
  - name: llama
    artifact: llama/model.keras
    custom_objects: [llama.layers]
    inputs: llama/inputs.npz
    decode: {prompt_length: 4, steps: 16, eos: 2, detokenise: "llama.text:to_text"}
    matrix: {precision: [as-saved, float32]}
"""


@dataclass(frozen=True)
class Done:
    report: Report
    code: int
    folder: Path

    def cell(self, model: str, variant: str = "") -> CellResult:
        wanted = f"{model}@keras-3.5.0{'+' * bool(variant)}{variant}"
        return next(cell for one in self.report.models for cell in one.cells if cell.cell == wanted)

    def decode(self, model: str, variant: str = "") -> DecodeResult:
        found = self.cell(model, variant).decode
        assert found is not None
        return found


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder = tmp_path_factory.mktemp("decode")
    shutil.copytree(ROOT / "examples" / "llama", folder / "llama")
    shutil.copy(Path(__file__).with_name("decode_project.py"), folder)
    share_environments(folder)
    models = "".join(
        f"  - {{name: {name}, builder: 'decode_project:{builder}', inputs: 'decode_project:inputs', "
        f"decode: {{{decode}}}}}\n"
        for name, (builder, decode) in PLANTED.items()
    )
    (folder / "validator.yml").write_text(
        'version: 1\npython: "3.11"\nrequirements: [tensorflow-cpu==2.17.1, numpy==1.26.4]\n'
        f'matrix: {{keras: ["3.3.3", "3.5.0"]}}\ngate: {{fail_on: [decode]}}\nmodels:\n{models}{LLAMA}'
    )
    command = [sys.executable, "-m", "validator", "run", "--config", str(folder / "validator.yml")]
    command += ["--output", str(folder / "run"), "--json"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
    assert ended.stdout, ended.stderr[-3000:]
    return Done(Report.model_validate(json.loads(ended.stdout)), ended.returncode, folder / "run")


def test_llama_in_bfloat16_differs_in_prefill_and_grows(done: Done) -> None:
    found = done.decode("llama")
    assert found.verdict == "changed"
    assert found.prefill is not None
    assert found.prefill.kl is not None
    assert found.prefill.kl > 0.5
    assert found.growth is not None
    assert found.growth_error is not None
    assert found.growth > 2 * found.growth_error > 0
    assert len(found.steps) == 16
    assert found.noise_ratio is not None
    assert found.noise_ratio > 50
    assert found.diverged > found.ties


def test_llama_says_both_texts_and_that_prefill_and_decode_disagree(done: Done) -> None:
    found = done.decode("llama")
    first = found.first
    assert first is not None
    assert first.tie is False
    assert first.baseline_text
    assert first.candidate_text != first.baseline_text
    assert first.baseline_tokens[: first.step] == first.candidate_tokens[: first.step]
    assert first.baseline_tokens[first.step] == first.baseline_token != first.candidate_token
    assert found.baseline_agreement is not None
    assert found.candidate_agreement is not None
    assert (found.baseline_agreement.agree, found.candidate_agreement.agree) == (True, False)
    findings = [finding.message for finding in done.cell("llama").findings if finding.kind == "decode"]
    assert "first other token at step" in findings[0]
    assert first.candidate_text[:20] in findings[0]
    assert "gives other logits than step by step" in findings[1]


def test_llama_in_float32_is_identical(done: Done) -> None:
    found = done.decode("llama", "float32")
    assert found.verdict == "identical"
    assert found.first is None
    assert [finding for finding in done.cell("llama", "float32").findings if finding.kind == "decode"] == []


def test_only_cells_that_part_cost_a_second_worker(done: Done) -> None:
    forced = {path.parent.name for path in done.folder.glob("forced/*/*/response.json")}
    assert forced == {"llama", "drifts", "ties", "blanks", "forgets"}
    assert not (done.folder / "forced" / "keras-3.3.3").exists()


def test_unchanged_model_is_identical(done: Done) -> None:
    assert done.decode("unchanged").verdict == "identical"


def test_drift_grows_along_the_baselines_tokens(done: Done) -> None:
    found = done.decode("drifts")
    assert found.verdict == "changed"
    assert [step.step for step in found.steps] == list(range(16))
    known = [step.kl for step in found.steps if step.kl is not None]
    assert known[-1] > known[0] > 0
    assert "growing from" in found.message
    assert found.first is not None
    assert found.first.candidate_token == 7
    assert "word7" in found.message
    assert found.candidate_agreement is not None
    assert found.candidate_agreement.agree


def test_a_flip_inside_the_noise_is_a_tie(done: Done) -> None:
    found = done.decode("ties")
    assert found.diverged == found.ties > 0
    assert found.first is not None
    assert found.first.tie
    assert found.verdict in {"rounding", "suspicious"}


def test_new_nan_is_a_change(done: Done) -> None:
    found = done.decode("blanks")
    assert found.verdict == "changed"
    assert found.forced is not None
    assert found.forced.infinite > 0
    assert "here and not in the baseline" in found.message


def test_protocol_that_raises_leaves_the_predictions_alone(done: Done) -> None:
    cell, found = done.cell("cached"), done.decode("cached")
    assert cell.verdict == "identical"
    assert cell.gated == ("decode",)
    assert found.verdict == "failed"
    assert found.failure is not None
    assert found.failure.stage == "decode"
    assert "the cache has another layout" in found.message


def test_wrong_cache_shows_where_no_prediction_does(done: Done) -> None:
    cell, found = done.cell("forgets"), done.decode("forgets")
    assert cell.verdict == "identical"
    assert found.verdict == "changed"
    assert found.prefill is not None
    assert found.prefill.kl == 0
    assert found.candidate_agreement is not None
    assert found.candidate_agreement.agree is False


def test_no_token_model_is_not_compared(done: Done) -> None:
    cell, found = done.cell("pooled"), done.decode("pooled")
    assert found.verdict == "not-compared"
    assert "decode needs logits of shape (batch, time, vocabulary)" in found.message
    assert found.message in [finding.message for finding in cell.findings]


def test_gate_counts_what_decodes_otherwise(done: Done) -> None:
    gated = {cell.cell for model in done.report.models for cell in model.cells if cell.gated}
    names = ["llama", "drifts", "blanks", "cached", "forgets"]
    assert gated == {f"{name}@keras-3.5.0" for name in names}
    assert (done.code, done.report.verdict) == (1, "fail")
    said = next(reason for reason in done.report.reasons if reason.startswith("forgets@"))
    assert "decode: prefill KL 0;" in said
