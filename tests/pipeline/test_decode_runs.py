"""Whole runs with decode blocks, in real environments: the little Llama, and edits that are known."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import ROOT, share_environments
from validator.checks.decode.types import DecodeComparison
from validator.report.json import load
from validator.verdict.gate import check_verdict
from validator.verdict.results import CellResult, Report

pytestmark = [pytest.mark.environment, pytest.mark.matrix]

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
        identity = f"{model}@keras-3.5.0{'+' * bool(variant)}{variant}"
        return next(cell for group in self.report.models for cell in group.cells if cell.cell == identity)

    def decode(self, model: str, variant: str = "") -> DecodeComparison:
        comparison = self.cell(model, variant).comparison(DecodeComparison)
        assert comparison is not None
        return comparison

    def verdict(self, model: str, variant: str = "") -> str:
        return check_verdict(self.cell(model, variant), "decode")


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
        'version: 1\norigin: {seconds: 0}\npython: "3.11"\n'
        "requirements: [tensorflow-cpu==2.17.1, numpy==1.26.4]\n"
        f'matrix: {{keras: ["3.3.3", "3.5.0"]}}\ngate: {{fail_on: [decode]}}\nmodels:\n{models}{LLAMA}'
    )
    command = [sys.executable, "-m", "validator", "run", "--config", str(folder / "validator.yml")]
    command += ["--output", str(folder / "run"), "--json"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
    assert ended.stdout, ended.stderr[-3000:]
    return Done(load(ended.stdout), ended.returncode, folder / "run")


def test_llama_in_bfloat16_differs_in_prefill_and_grows(done: Done) -> None:
    decode = done.decode("llama")
    assert done.verdict("llama") == "changed"
    assert decode.prefill is not None
    assert decode.prefill.kl is not None
    assert decode.prefill.kl.mean > 0.5
    assert decode.growth is not None
    assert decode.growth.difference.error is not None
    assert decode.growth.difference.mean > 2 * decode.growth.difference.error > 0
    assert len(decode.steps) == 16
    assert decode.noise_ratio is not None
    assert decode.noise_ratio > 50
    assert any(divergence.tie is False for divergence in decode.divergences)


def test_llama_has_both_texts_and_prefill_and_decode_disagree(done: Done) -> None:
    decode = done.decode("llama")
    first, texts = decode.first, decode.continuations
    assert first is not None
    assert texts is not None
    assert first.tie is False
    assert texts.baseline_text
    assert texts.candidate_text != texts.baseline_text
    assert texts.baseline_tokens[: first.step] == texts.candidate_tokens[: first.step]
    assert texts.baseline_tokens[first.step] == first.baseline_token != first.candidate_token
    kinds = [finding.kind for finding in done.cell("llama").findings if finding.check == "decode"]
    assert kinds == ["decode-verdict", "decode-full-pass"]


def test_llama_in_float32_is_identical(done: Done) -> None:
    assert done.verdict("llama", "float32") == "identical"
    assert done.decode("llama", "float32").first is None


def test_only_cells_that_diverge_cost_a_second_job(done: Done) -> None:
    forced = {path.parents[1].name for path in done.folder.glob("captures/*/*/+decode/response.json")}
    assert forced == {"llama", "drifts", "ties", "blanks", "forgets"}
    assert not list(done.folder.glob("captures/keras-3.3.3/*/+decode"))


def test_unchanged_model_is_identical(done: Done) -> None:
    assert done.verdict("unchanged") == "identical"


def test_drift_grows_along_the_baselines_tokens(done: Done) -> None:
    decode = done.decode("drifts")
    assert done.verdict("drifts") == "changed"
    assert [step.step for step in decode.steps] == list(range(16))
    known = [step.statistics.kl.mean for step in decode.steps if step.statistics.kl is not None]
    assert known[-1] > known[0] > 0
    assert decode.growth is not None
    assert decode.growth.second > decode.growth.first
    assert decode.first is not None
    assert decode.first.candidate_token == 7
    assert decode.continuations is not None
    assert "word7" in decode.continuations.candidate_text


def test_a_flip_inside_the_noise_is_a_tie(done: Done) -> None:
    divergences = done.decode("ties").divergences
    assert divergences
    assert all(divergence.tie for divergence in divergences)
    assert done.verdict("ties") in {"rounding", "suspicious"}


def test_new_nan_is_a_change(done: Done) -> None:
    decode = done.decode("blanks")
    assert done.verdict("blanks") == "changed"
    assert decode.forced is not None
    assert decode.forced.infinite > 0
    assert decode.broken > 0


def test_protocol_that_raises_leaves_the_predictions_alone(done: Done) -> None:
    cell, decode = done.cell("cached"), done.decode("cached")
    assert cell.verdict == "identical"
    assert cell.gated == ("decode",)
    assert done.verdict("cached") == "failed"
    assert decode.failure is not None
    assert decode.failure.stage == "decode"
    assert "the cache has another layout" in decode.failure.message


def test_wrong_cache_shows_where_no_prediction_does(done: Done) -> None:
    decode = done.decode("forgets")
    assert done.cell("forgets").verdict == "identical"
    assert done.verdict("forgets") == "changed"
    assert decode.prefill is not None
    assert decode.prefill.kl is not None
    assert decode.prefill.kl.mean == 0
    assert "decode-full-pass" in {finding.kind for finding in done.cell("forgets").findings}


def test_no_token_model_is_not_compared(done: Done) -> None:
    decode = done.decode("pooled")
    assert done.verdict("pooled") == "not-compared"
    assert decode.failure is not None
    assert "decode needs logits of shape (batch, time, vocabulary)" in decode.failure.message


def test_gate_counts_what_decodes_otherwise(done: Done) -> None:
    gated = {cell.cell for model in done.report.models for cell in model.cells if cell.gated}
    names = ["llama", "drifts", "blanks", "cached", "forgets"]
    assert gated == {f"{name}@keras-3.5.0" for name in names}
    assert (done.code, done.report.verdict) == (1, "fail")
    reason = next(reason for reason in done.report.reasons if reason.cell.startswith("forgets@"))
    assert reason.rules == ("decode",)
