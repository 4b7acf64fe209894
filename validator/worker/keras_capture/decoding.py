"""The task `decode`: prefill and greedy decode of a token model, or steps along another environment's tokens.

Everything that is compared lies in `decode/` as logits of one row per position; what they say is decided
elsewhere. The contract is in docs/decode.md.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, Optional

import numpy as np

from keras_capture.custom import function
from keras_capture.decoding_prompts import (
    Prompt,
    Source,
    by_length,
    find_prompts,
    find_source,
    given_prompts,
)
from keras_capture.decoding_walks import (
    Group,
    Recomputed,
    Spoken,
    Stepper,
    Walk,
    walk_along,
    walk_freely,
    wide,
)
from keras_capture.layers import state_kept
from keras_capture.npy import NpyAppender
from keras_capture.perturbing import compute_dtypes, floating_weights, perturbed
from keras_capture.savedmodel import SavedModel
from keras_capture.tasks import Work

FOLDER = "decode"
BUDGET, SEED = 128 << 20, 20231  # bytes of one file of logits; what a request does not say
_TEXT = 2000  # characters of one text

Choice = Callable[[List[int], Group], Walk]


@dataclass
class _Logits:
    """Rows of logits by sample, and what the samples went on with."""

    prefill: Dict[int, np.ndarray] = field(default_factory=dict)
    steps: Dict[int, np.ndarray] = field(default_factory=dict)
    tokens: Dict[int, List[int]] = field(default_factory=dict)
    ends: Dict[int, str] = field(default_factory=dict)


@dataclass
class _Session:
    """One task: what is decoded, how, and what a person should know of it."""

    work: Work
    options: dict
    source: Source
    prompts: List[Prompt]
    stepper: Stepper
    steps: int
    notes: List[str] = field(default_factory=list)

    def groups(self) -> Iterator[tuple]:
        """Numbers of prompts that run together, and their group."""
        for numbers in by_length(self.prompts):
            yield numbers, Group.of([self.prompts[number] for number in numbers])

    def room(self, group: Group) -> int:
        """How many steps fit: a model of fixed length ends."""
        length = self.source.length if self.stepper.mode == "padded" else None
        return self.steps if length is None else min(self.steps, length - group.ids.shape[1] + 1)


def run(work: Work, options: dict) -> dict:
    """The task: options `prompt_length` or `prompts`, `steps`, `samples`, `input`, `pad`, `eos`, `protocol`,
    `detokenise`, `noise` (members; 0 for none), `forced` (samples, prompts, tokens of another environment).
    """
    folder = work.job.folder / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    source = find_source(work, options.get("input"))
    forced = options.get("forced")
    prompts, tokens = given_prompts(source, forced) if forced else (find_prompts(source, options), [])
    with _kept(work) as reset:
        session = _session(work, options, (source, prompts), reset)
        return _forced(session, tokens, folder) if forced else _free(session, folder)


def _session(work: Work, options: dict, given: tuple, reset: Callable) -> _Session:
    source, prompts = given
    steps = int(options["steps"])
    stepper: Stepper
    if options.get("protocol"):
        stepper = Spoken(work.prediction, options["protocol"])
    else:
        # A compiler would compile every length of a growing prefix anew.
        compiled = work.prediction.framework.backend == "jax" or work.loaded.jit is True
        longest = max(prompt.ids.size for prompt in prompts) + steps
        length = source.length or (longest if compiled else None)
        padding = (length, int(options.get("pad") or 0))
        stepper = Recomputed(work.prediction, source, padding, reset)
    session = _Session(work, options, source, prompts, stepper, steps)
    if not options.get("forced"):
        _bound(session)
    return session


def _bound(session: _Session) -> None:
    """Leave out samples whose logits would not fit; one is always kept."""
    _, first = next(session.groups())  # of a shape that is needed anyway: no shape is compiled for this alone
    vocabulary = session.stepper.start(first).shape[2]
    rows = int(session.options.get("budget", BUDGET)) // (4 * vocabulary)
    kept = max(1, min(len(session.prompts), rows // session.steps))
    if kept < len(session.prompts):
        session.notes.append(
            f"{kept} of {len(session.prompts)} samples were decoded: logits of {vocabulary} tokens take "
            "that much room"
        )
        session.prompts = session.prompts[:kept]


def _free(session: _Session, folder: Path) -> dict:
    """Prefill, greedy decode, the same positions at once, and the noise of it all."""
    logits, raw = _Logits(), {}
    eos = session.options.get("eos")
    for numbers, group in session.groups():
        walk = _walked(session, group, eos)
        raw[tuple(numbers)] = walk.tokens
        _take(logits, numbers, walk, _lengths(walk, eos), eos)
        if walk.tokens.shape[1] < session.steps and session.room(group) < session.steps:
            session.notes.append(f"{session.room(group)} of {session.steps} steps fit behind a prompt")
    positions = _positions(session, logits)
    vocabulary = next(iter(logits.steps.values())).shape[1]
    answer = {
        "mode": session.stepper.mode,
        "vocabulary": vocabulary,
        "samples": [prompt.sample for prompt in session.prompts],
        "prompts": [prompt.ids.tolist() for prompt in session.prompts],
        "positions": positions,
        "tokens": _listed(session, logits.tokens),
        "ends": _listed(session, logits.ends),
        "prefill": _written(folder, "prefill", _picked(logits.prefill, positions)),
        "steps": _written(folder, "steps", _listed(session, logits.steps)),
        "whole": _written(folder, "whole", _whole(session, logits, raw)),
        "noise": _noise(session, folder, logits, raw),
        "texts": _texts(session, logits),
    }
    return {**answer, "notes": list(dict.fromkeys(session.notes))}


def _forced(session: _Session, tokens: List[List[int]], folder: Path) -> dict:
    """The logits of each step along the tokens of another environment."""
    logits = _Logits()
    for numbers, group in session.groups():
        lengths = [len(tokens[number]) for number in numbers]
        walk = walk_along(session.stepper, group, _filled([tokens[number] for number in numbers]))
        _take(logits, numbers, walk, lengths)
    return {
        "mode": session.stepper.mode,
        "samples": [prompt.sample for prompt in session.prompts],
        "tokens": tokens,
        "steps": _written(folder, "steps", _listed(session, logits.steps)),
    }


def _walked(session: _Session, group: Group, eos: Optional[int]) -> Walk:
    """Free-running: greedy, or as the model's own `generate` chooses, and then along its tokens."""
    stepper, steps = session.stepper, session.room(group)
    if isinstance(stepper, Spoken) and stepper.generates:
        return walk_along(stepper, group, stepper.generate(group, steps))
    return walk_freely(stepper, group, steps, eos)


def _take(
    logits: _Logits, numbers: List[int], walk: Walk, lengths: List[int], eos: Optional[int] = None
) -> None:
    for row, (number, length) in enumerate(zip(numbers, lengths)):
        logits.prefill[number] = walk.prefill[row]
        logits.steps[number] = walk.logits[row, :length]
        tokens = walk.tokens[row, :length].tolist()
        lost = bool(walk.broken[row, length - 1])
        logits.tokens[number] = [*tokens[:-1], -1] if lost else tokens  # NaN chooses nothing
        logits.ends[number] = "nan" if lost else "eos" if tokens[-1] == eos else "steps"


def _lengths(walk: Walk, eos: Optional[int]) -> List[int]:
    """How many steps each sample took: with the one that gave the end, or NaN."""
    last = walk.broken if eos is None else walk.broken | (walk.tokens == eos)
    return [int(row.argmax()) + 1 if row.any() else row.size for row in last]


def _positions(session: _Session, logits: _Logits) -> List[List[int]]:
    """The positions of each prompt whose logits are kept: spread evenly, the last one always."""
    size = 4 * next(iter(logits.prefill.values())).shape[1]
    rows = int(session.options.get("budget", BUDGET)) // size // len(session.prompts)
    found = []
    for prompt in session.prompts:
        kept = np.linspace(prompt.ids.size - 1, 0, max(1, min(rows, prompt.ids.size)))
        found.append(np.unique(kept.round().astype(int)).tolist())
    return found


def _picked(prefill: Dict[int, np.ndarray], positions: List[List[int]]) -> List[np.ndarray]:
    return [wide(prefill[number][kept]) for number, kept in enumerate(positions)]


def _whole(session: _Session, logits: _Logits, raw: dict) -> List[np.ndarray]:
    """The rows of the steps again, from one pass over prompt and tokens together."""
    found: Dict[int, np.ndarray] = {}
    for numbers, group in session.groups():
        tokens = raw[tuple(numbers)]
        first = group.ids.shape[1] - 1
        ids = np.concatenate([group.ids, tokens[:, :-1]], axis=1)
        computed = session.stepper.whole(Group(group.samples, ids))
        for row, number in enumerate(numbers):
            length = len(logits.tokens[number])
            found[number] = wide(computed[row, first : first + length])
    return _listed(session, found)


def _noise(session: _Session, folder: Path, logits: _Logits, raw: dict) -> List[str]:
    """The same steps with each weight moved by one unit in the last place."""
    model = session.work.prediction.model
    weights = floating_weights(model)
    paths = []
    for member in range(int(session.options.get("noise") or 0) if weights else 0):
        moved = _Logits()
        with perturbed(session.work.prediction.framework, weights, [SEED, member], compute_dtypes(model)):
            for numbers, group in session.groups():
                lengths = [len(logits.tokens[number]) for number in numbers]
                _take(moved, numbers, walk_along(session.stepper, group, raw[tuple(numbers)]), lengths)
        paths.append(_written(folder, f"noise{member}", _listed(session, moved.steps)))
    return paths


def _texts(session: _Session, logits: _Logits) -> Optional[List[List[str]]]:
    """Prompt and continuation of each sample in words; None without a detokeniser, or where it fails."""
    reference = session.options.get("detokenise")
    if not reference:
        return None
    try:
        detokenise = function(reference)
        return [
            [str(detokenise(ids))[:_TEXT] for ids in (prompt.ids.tolist(), _told(logits.tokens[number]))]
            for number, prompt in enumerate(session.prompts)
        ]
    except Exception as error:
        session.notes.append(f"{reference} failed: {type(error).__name__}: {error}"[:500])
        return None


def _told(tokens: List[int]) -> List[int]:
    return [token for token in tokens if token >= 0]


def _filled(tokens: List[List[int]]) -> np.ndarray:
    """Tokens of different lengths as one array; what stands behind the end of one is never looked at."""
    width = max(map(len, tokens))
    return np.array([[*_told(row), *[0] * (width - len(_told(row)))] for row in tokens], np.int64)


def _listed(session: _Session, found: dict) -> list:
    return [found[number] for number in range(len(session.prompts))]


def _written(folder: Path, name: str, rows: List[np.ndarray]) -> str:
    """Write the rows of all samples one after the other; the path in the job's folder."""
    appender = NpyAppender(folder / f"{name}.npy", rows[0].dtype)
    try:
        for part in rows:
            appender.append(part)
        appender.close((sum(map(len, rows)), rows[0].shape[1]))
    except BaseException:
        appender.abandon()
        raise
    return f"{FOLDER}/{name}.npy"


@contextlib.contextmanager
def _kept(work: Work) -> Iterator[Callable[[], None]]:
    """The model is left as it was found; gives what puts a stateful one back."""
    if isinstance(work.prediction.model, SavedModel):
        yield lambda: None
        return
    with state_kept(work.prediction.framework, work.prediction.model) as reset:
        yield reset
