"""Predictions that other jobs made in pieces: joined to those of one job, batch by batch."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Dict, Optional

from keras_capture.model.outputs import Returned, read_outputs
from keras_capture.outputs.captures import Difference, StoredOutput
from keras_capture.outputs.predicting import Captured, Prediction, write
from keras_capture.wire.request import PredictedPiece


def join(
    prediction: Prediction, pieces: Sequence[PredictedPiece], same: Dict[str, object], folder: Path
) -> Optional[Captured]:
    """Write what the pieces hold as if the model had predicted it here.

    The model predicts the first batch. None where that is another one than in the first piece, and where the
    pieces do not hold all batches, or are not of what must be the `same`: fields of a response.
    """
    stored = _batches(prediction, pieces, same)
    first = next(iter(replace(prediction, chosen=(0,)).outputs()))
    own = read_outputs(first)
    if _differ(next(stored, None), own):
        return None
    behind = ((returned, None) for returned in stored)
    captured = write(prediction, folder, itertools.chain([(own, first)], behind))
    return captured if captured.batches == len(prediction.bounds()) else None


def _batches(
    prediction: Prediction, pieces: Sequence[PredictedPiece], same: Dict[str, object]
) -> Iterator[Returned]:
    """Every batch as it was predicted."""
    for piece in pieces:
        response = json.loads((piece.folder / "response.json").read_text(encoding="utf-8"))
        if any(response[name] != value for name, value in same.items()):
            return
        outputs = [StoredOutput(entry, piece.folder) for entry in response["outputs"]]
        bounds = replace(prediction, chosen=range(piece.first, piece.stop)).bounds()
        origin = bounds[0][0]
        for number, (start, stop) in enumerate(bounds):
            rows = {each.entry["name"]: each.batch(number, start - origin, stop - origin) for each in outputs}
            yield Returned(rows, ())


def _differ(stored: Optional[Returned], own: Returned) -> bool:
    if stored is None or stored.pieces.keys() != own.pieces.keys():
        return True
    difference = Difference()
    for name, piece in stored.pieces.items():
        difference.add(piece, own.pieces[name])
    return bool(difference.elements)
