"""The task `decode`: prefill and greedy decode of a token model, or steps along another environment's tokens.

Everything that is compared lies in `decode/` as logits of one row per position; what they say is decided
elsewhere. The contract is in docs/decode.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from operator import itemgetter
from pathlib import Path
from typing import List, Optional

import numpy as np

from keras_capture.decode.prompts import Prompt, Source, find_prompts, find_source
from keras_capture.decode.walks import (
    Group,
    PrefixStepper,
    ProtocolStepper,
    Stepper,
    Walk,
    exact,
    groups_of,
    walk,
)
from keras_capture.model.custom import function
from keras_capture.model.perturbing import floating_weights, perturbed
from keras_capture.structure.calling import state_kept
from keras_capture.structure.task import emptied
from keras_capture.tasks import Work

FOLDER = "decode"
BUDGET = 128 << 20  # bytes of one file of logits; what a request does not say
_TEXT = 2000  # characters of one text


@dataclass(frozen=True)
class _Decoded:
    """One sample: rows of logits of the prompt and of each step, the tokens chosen, and what ended them."""

    prefill: np.ndarray
    steps: np.ndarray
    tokens: List[int]
    end: str


@dataclass
class _Session:
    """One task: what is decoded, how, and what a person should know of it."""

    work: Work
    options: dict
    prompts: List[Prompt]
    stepper: Stepper
    notes: List[str] = field(default_factory=list)

    @property
    def steps(self) -> int:
        """How many are asked for."""
        return int(self.options["steps"])

    @property
    def budget(self) -> int:
        """Bytes of one file of logits."""
        return int(self.options.get("budget", BUDGET))

    @property
    def groups(self) -> List[Group]:
        """The prompts, as they run together."""
        return groups_of(self.prompts)


def run(work: Work, options: dict) -> dict:
    """The task: options `prompt_length` or `prompts`, `steps`, `samples`, `input`, `pad`, `eos`, `protocol`,
    `detokenise`, `noise` (members; 0 for none), `forced` (samples, prompts, tokens of another environment).
    """
    folder = emptied(work.job.folder / FOLDER)
    source = find_source(work, options.get("input"))
    forced = options.get("forced")
    prompts = find_prompts(source, options)
    with state_kept(work.prediction.framework, work.prediction.model) as reset:
        stepper: Stepper
        if options.get("protocol"):
            stepper = ProtocolStepper(work.prediction, options["protocol"])
        else:
            stepper = PrefixStepper(work.prediction, source, _padding(work, options, source, prompts), reset)
        session = _Session(work, options, prompts, stepper)
        return _forced(session, forced["tokens"], folder) if forced else _greedy(session, folder)


def _padding(work: Work, options: dict, source: Source, prompts: List[Prompt]) -> tuple:
    """The length that ids are padded to, None for no padding, and with what."""
    # A compiler would compile every length of a growing prefix anew.
    compiled = work.prediction.framework.backend == "jax" or work.loaded.jit is True
    longest = max(prompt.ids.size for prompt in prompts) + int(options["steps"])
    return source.length or (longest if compiled else None), int(options.get("pad") or 0)


def _bound(session: _Session) -> None:
    """Leave out samples whose logits would not fit; one is always kept."""
    first = session.groups[0]  # of a shape that is needed anyway: no shape is compiled for this alone
    vocabulary = session.stepper.start(first).shape[2]
    kept = max(1, min(len(session.prompts), session.budget // (4 * vocabulary) // session.steps))
    if kept < len(session.prompts):
        session.notes.append(
            f"{kept} of {len(session.prompts)} samples were decoded: logits of {vocabulary} tokens take "
            "that much room"
        )
        session.prompts = session.prompts[:kept]


def _greedy(session: _Session, folder: Path) -> dict:
    """Prefill, greedy decode, the same positions at once, and the noise of it all."""
    _bound(session)
    eos = session.options.get("eos")
    walks = [_walked(session, group, eos) for group in session.groups]
    samples = _by_prompt(session, [_decoded(walked, eos) for walked in walks])
    positions = _positions(session, samples[0].prefill.shape[1])
    prefill = [exact(sample.prefill[kept]) for sample, kept in zip(samples, positions)]
    answer = {
        "mode": session.stepper.mode,
        "vocabulary": prefill[0].shape[1],
        "samples": [prompt.sample for prompt in session.prompts],
        "prompts": [prompt.ids.tolist() for prompt in session.prompts],
        "positions": positions,
        "tokens": [sample.tokens for sample in samples],
        "ends": [sample.end for sample in samples],
        "prefill": _written(folder, "prefill", prefill),
        "steps": _written(folder, "steps", [sample.steps for sample in samples]),
        "whole": _written(folder, "whole", _whole(session, walks, samples)),
        "noise": _noise(session, folder, walks, samples),
        "texts": _texts(session, samples),
    }
    return {**answer, "notes": list(dict.fromkeys(session.notes))}


def _forced(session: _Session, tokens: List[List[int]], folder: Path) -> dict:
    """The logits of each step along the tokens of another environment."""
    along = [_filled([tokens[number] for number in group.numbers]) for group in session.groups]
    return {
        "mode": session.stepper.mode,
        "samples": [prompt.sample for prompt in session.prompts],
        "tokens": tokens,
        "steps": _written(folder, "steps", _along(session, along, [len(row) for row in tokens])),
    }


def _walked(session: _Session, group: Group, eos: Optional[int]) -> Walk:
    """Greedily, or as the model's own `generate` chooses, and then along its tokens."""
    stepper, steps = session.stepper, session.steps
    if stepper.length is not None:
        steps = min(steps, stepper.length - group.ids.shape[1] + 1)  # a model of fixed length ends
    if steps < session.steps:
        session.notes.append(f"{steps} of {session.steps} steps fit behind a prompt")
    if stepper.generates:
        tokens = stepper.generate(group, steps)
        return walk(stepper, group, tokens.shape[1], along=tokens)
    return walk(stepper, group, steps, eos=eos)


def _decoded(walked: Walk, eos: Optional[int]) -> List[_Decoded]:
    """Each sample of a walk, up to the step that gave the end, or NaN."""
    samples = []
    lasts = walked.broken if eos is None else walked.broken | (walked.tokens == eos)
    for row, last in enumerate(lasts):
        length = int(last.argmax()) + 1 if last.any() else last.size
        *tokens, final = walked.tokens[row, :length].tolist()
        end = "eos" if final == eos else "steps"
        if walked.broken[row, length - 1]:
            final, end = -1, "nan"  # NaN chooses nothing
        samples.append(_Decoded(walked.prefill[row], walked.logits[row, :length], [*tokens, final], end))
    return samples


def _along(session: _Session, tokens: Iterable[np.ndarray], lengths: List[int]) -> List[np.ndarray]:
    """The logits of each sample's steps along the tokens of each group."""
    logits = [
        walk(session.stepper, group, along.shape[1], along=along).logits
        for group, along in zip(session.groups, tokens)
    ]
    return [rows[:length] for rows, length in zip(_by_prompt(session, logits), lengths)]


def _by_prompt(session: _Session, groups: List[Iterable]) -> list:
    """What each group gave for its prompts, in the order of the prompts."""
    numbered = [pair for group, rows in zip(session.groups, groups) for pair in zip(group.numbers, rows)]
    return [row for _, row in sorted(numbered, key=itemgetter(0))]


def _positions(session: _Session, vocabulary: int) -> List[List[int]]:
    """The positions of each prompt whose logits are kept: spread evenly, the last one always."""
    rows = session.budget // (4 * vocabulary) // len(session.prompts)
    sizes = [prompt.ids.size for prompt in session.prompts]
    kept = [np.linspace(size - 1, 0, max(1, min(rows, size))) for size in sizes]
    return [np.unique(places.round().astype(int)).tolist() for places in kept]


def _whole(session: _Session, walks: List[Walk], samples: List[_Decoded]) -> List[np.ndarray]:
    """The rows of the steps again, from one pass over prompt and tokens together."""
    computed = []
    for group, walked in zip(session.groups, walks):
        ids = np.concatenate([group.ids, walked.tokens[:, :-1]], axis=1)
        logits = session.stepper.whole(replace(group, ids=ids))
        computed.append(exact(logits[:, group.ids.shape[1] - 1 :]))
    again = _by_prompt(session, computed)
    return [rows[: len(sample.tokens)] for rows, sample in zip(again, samples)]


def _noise(session: _Session, folder: Path, walks: List[Walk], samples: List[_Decoded]) -> List[str]:
    """The same steps with each weight moved by one unit in the last place."""
    prediction = session.work.prediction
    tokens, lengths = [walked.tokens for walked in walks], [len(sample.tokens) for sample in samples]
    paths = []
    for member in range(int(session.options.get("noise") or 0) if floating_weights(prediction.model) else 0):
        with perturbed(prediction.framework, prediction.model, member):
            moved = _along(session, tokens, lengths)
        paths.append(_written(folder, f"noise{member}", moved))
    return paths


def _texts(session: _Session, samples: List[_Decoded]) -> Optional[List[List[str]]]:
    """Prompt and continuation of each sample in words; None without a detokeniser, or where it fails."""
    reference = session.options.get("detokenise")
    if not reference:
        return None
    try:
        detokenise = function(reference)
        chosen = [[token for token in sample.tokens if token >= 0] for sample in samples]
        pairs = zip((prompt.ids.tolist() for prompt in session.prompts), chosen)
        return [[str(detokenise(ids))[:_TEXT] for ids in pair] for pair in pairs]
    except Exception as error:
        session.notes.append(f"{reference} failed: {type(error).__name__}: {error}"[:500])
        return None


def _filled(tokens: List[List[int]]) -> np.ndarray:
    """Tokens of different lengths as one array; what stands behind the end of one is never looked at."""
    steps = list(zip_longest(*tokens, fillvalue=0))
    return np.maximum(np.array(steps, np.int64).T, 0)  # -1: NaN chose nothing


def _written(folder: Path, name: str, rows: List[np.ndarray]) -> str:
    """Write the rows of all samples one after the other; the path in the job's folder."""
    np.save(folder / f"{name}.npy", np.concatenate(rows))
    return f"{FOLDER}/{name}.npy"
