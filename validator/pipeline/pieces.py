"""Predictions of long recordings, made in pieces by several workers of a cluster and joined by another one.

A piece is some consecutive batches of a shard's cells, each cell and its baseline on one machine. Who joins
the pieces runs everything else: noise, layers, training and `evaluate` see the whole recording.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from validator.cluster.files import Bundle, BundledFile
from validator.cluster.predicted import Predicted, Provenance
from validator.config.references import is_function
from validator.config.settings import ModelSettings
from validator.matrix import Cell, Shard
from validator.pipeline.jobs import JobMaker
from validator.pipeline.places import locks
from validator.pipeline.project import Project, prepare_recordings
from validator.pipeline.run_folder import RunFolder
from validator.pipeline.validate import Run
from validator.runner import Capture, Job, Machine, PredictedPiece, read_capture
from validator.storage import recording

_MOST_PIECES = 256


def pieces_of(project: Project, models: Iterable[str], folder: RunFolder, longest: int) -> int:
    """In how many pieces the samples of a shard are predicted; 1 where no recording is longer than `longest`.

    Raises:
        ConfigurationError: a recording cannot be used.
    """
    counts = [_samples(project, project.model(name), folder) for name in set(models)]
    return min(_MOST_PIECES, max((-(-count // longest) for count in counts), default=1))


def predict_piece(run: Run, piece: Shard, longest: int) -> Predicted:
    """Predict one piece of every cell whose recording is longer than `longest`, twice, and nothing else.

    What fails is left out: whoever joins the pieces runs it, and says why it fails.
    """
    maker = JobMaker(run.project, run.folder, run.base)
    jobs = [_job(maker, cell, piece) for cell in run.project.plan.cells if _is_divided(maker, cell, longest)]
    due = [job for job in jobs if job.batches]
    run.watcher.planned("predict", due)
    with run.pool() as pool:
        captures = [each for each in pool.run(due).values() if isinstance(each, Capture)]
    files = tuple(file for capture in captures for file in _files(capture, run.folder.root))
    return Predicted(provenance=provenance_of(run.project), files=Bundle(files=files))


def provenance_of(project: Project) -> Provenance:
    """Where predictions of a project's cells are from, if this machine makes them."""
    digests = {name: _installed(lock) for name, lock in locks(project).items()}
    return Provenance(machine=Machine.this(), locks=digests)


def joinable(
    project: Project, folder: RunFolder, made: Sequence[Provenance]
) -> tuple[dict[str, tuple[PredictedPiece, ...]], tuple[str, ...]]:
    """The cells whose pieces are all there and can be joined here, by id; and why they cannot.

    Args:
        project: of the shard.
        folder: the run's; pieces lie below it as they were sent.
        made: where each piece is from, in their order.
    """
    if not made:
        return {}, ()
    own = provenance_of(project)
    if any(each != own for each in made):
        why = "other workers predicted samples on another processor, or with other packages"
        return {}, (f"{why}; they were predicted again here",)
    joined, notes = {}, []
    for cell in project.plan.cells:
        pieces = _pieces(cell, folder, len(made))
        if isinstance(pieces, str):
            notes.append(f"{cell.id} was predicted again in one piece: {pieces}")
        elif pieces:
            joined[cell.id] = pieces
    return joined, tuple(notes)


def _pieces(cell: Cell, folder: RunFolder, count: int) -> tuple[PredictedPiece, ...] | str:
    """All pieces of a cell, none where it was not divided, or why they cannot be joined."""
    folders = [RunFolder(folder.piece(number)).capture(cell) for number in range(1, count + 1)]
    captures = [read_capture(each, cell.id) if each.is_dir() else None for each in folders]
    known = next((each.response for each in captures if isinstance(each, Capture)), None)
    if known is None:
        return ()
    pieces = []
    for number, capture in enumerate(captures, 1):
        batches = _range(known.samples or 0, known.batch_size or 1, Shard(number, count))
        if not batches:
            continue
        if not isinstance(capture, Capture):
            return f"piece {number} of {count} failed"
        if capture.response.state:
            return "the model remembers earlier batches"
        if capture.response.deterministic is not True:
            return "it predicts something else each time"
        pieces.append(PredictedPiece(str(capture.folder), batches.start, batches.stop))
    return tuple(pieces)


def _job(maker: JobMaker, cell: Cell, piece: Shard) -> Job:
    job = maker.predictions(cell, {}, evaluate=False)
    samples = recording.load(Path(job.inputs)).samples
    return replace(job, batches=tuple(_range(samples, job.batch_size, piece)))


def _range(samples: int, size: int, piece: Shard) -> range:
    """The batches of a piece: consecutive, and as many as in any other but for one."""
    batches = -(-samples // size)
    return range((piece.index - 1) * batches // piece.count, piece.index * batches // piece.count)


def _is_divided(maker: JobMaker, cell: Cell, longest: int) -> bool:
    project, base = maker.project, maker.base
    files = project.plan.environment(cell.environment)
    if maker.refusal(cell) is not None or files.interpreter or (base is not None and files.base_files):
        return False
    return _samples(project, project.model(cell.model), maker.folder) > longest


def _samples(project: Project, model: ModelSettings, folder: RunFolder) -> int:
    """Samples of a model's recording; 0 where a function makes them."""
    if is_function(model.inputs):
        return 0
    return recording.load(Path(prepare_recordings(project, model, folder).inputs)).samples


def _files(capture: Capture, root: Path) -> Iterator[BundledFile]:
    for name, digest in capture.seal.items():
        path = capture.folder / name
        yield BundledFile(path=path.relative_to(root).as_posix(), sha256=digest, size=path.stat().st_size)


def _installed(lock: str) -> str:
    """A digest of what a lock installs; when it was resolved is not part of it."""
    lines = [line for line in lock.splitlines() if not line.startswith("#")]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
