"""Decodes of two samples and three steps, in memory and as a worker writes them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from validator.checks.decode.answers import DecodeAnswer, Decoded
from validator.checks.protocol import Subject
from validator.config.load import parse
from validator.matrix import make_plan
from validator.runner.captures import Capture, Response
from validator.upgrade import Requirements
from validator.verdict.bands import BANDS

RANDOM = np.random.default_rng(2)
LOGITS = RANDOM.normal(size=(6, 5))
SHIFT = RANDOM.normal(size=LOGITS.shape)
TOKENS = ((1, 2, 3), (4, 0, 1))
PROMPTS = ((1, 2), (3, 4))

SETTINGS = """
version: 1
python: "3.11"
requirements: [tensorflow-cpu==2.17.1]
matrix: {keras: ["3.3.3", "3.5.0"]}
models:
  - name: m
    builder: "m:build"
    inputs: inputs.npz
    decode: {prompts: prompts.npz, steps: 3, eos: 2}
  - {name: plain, builder: "m:build", inputs: inputs.npz}
"""


def answer(**fields: Any) -> DecodeAnswer:
    facts: dict[str, Any] = {
        "mode": "prefix",
        "vocabulary": 5,
        "samples": (0, 7),
        "prompts": PROMPTS,
        "positions": ((0, 1), (0, 1)),
        "tokens": TOKENS,
        "ends": ("steps", "steps"),
        "prefill": "decode/prefill.npy",
        "steps": "decode/steps.npy",
        "whole": "decode/whole.npy",
    }
    return DecodeAnswer(**(facts | fields))


def decoded(size: float = 0.0, noise: float = 1e-3, base: np.ndarray = LOGITS, **fields: Any) -> Decoded:
    """A side `size` away from the baseline; its noise ensemble has one member."""
    logits = base + size * SHIFT
    members = (logits + noise * SHIFT,) if noise else ()
    return Decoded(answer(**fields), logits[:4], logits, logits, members)


def with_forced(side: Decoded, forced: Any) -> Decoded:
    return replace(side, forced=forced)


def write(folder: Path, side: Decoded) -> dict[str, Any]:
    """The answer of a worker, and its files."""
    (folder / "decode").mkdir(parents=True)
    for name in ("prefill", "steps", "whole"):
        np.save(folder / "decode" / f"{name}.npy", getattr(side, name))
    for number, member in enumerate(side.noise):
        np.save(folder / "decode" / f"noise{number}.npy", member)
    paths = [f"decode/noise{number}.npy" for number in range(len(side.noise))]
    return {"failure": None, **side.answer.model_dump(mode="json"), "noise": paths}


def capture(folder: Path, tasks: dict[str, Any]) -> Capture:
    response = Response.model_validate({"schema": 1, "id": "m", "failure": None, "tasks": tasks})
    return Capture(folder, response)


def subject(name: str = "m", *, baseline: bool = False) -> Subject:
    settings = parse(SETTINGS, "validator.yml")
    plan = make_plan(settings, Requirements())
    cells = [cell for cell in plan.cells if cell.model == name]
    base = next(cell for cell in cells if cell.environment == plan.baseline)
    cell = base if baseline else next(cell for cell in cells if cell.environment != plan.baseline)
    model = next(model for model in settings.models if model.name == name)
    return Subject(model, cell, base, plan, settings, Path(), None, BANDS)
