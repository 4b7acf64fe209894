"""`keras-validator init`: looks at a folder, asks as little as possible, and writes a validator.yml."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from validator.adoption.automation import write_dependabot, write_workflow
from validator.adoption.branch import MovingBranch, branch_that_moves
from validator.adoption.elsewhere import choose, fetch_pins, with_pins
from validator.adoption.proposal import Model, metrics_for, propose_models, write_settings
from validator.adoption.recordings import (
    Beside,
    labels_beside,
    read_csv,
    recordings_beside,
    recordings_that_fit,
    write_synthetic,
)
from validator.adoption.releases import ProposedMatrix, VersionFacts, propose
from validator.adoption.scan import Artifact, Scan, read_pins, scan
from validator.config import is_function, is_remote, parse
from validator.errors import ConfigurationError
from validator.inputs import Specification, read_specification, write_example
from validator.pipeline.run_folder import WORK
from validator.recorder import RecordingError
from validator.recorder.writing import SampleTable, write
from validator.storage.recording import MANIFEST
from validator.storage.recording import load as load_recording

#: Where made or converted inputs go, beside the validator.yml.
RECORDINGS = "validator-inputs"


@dataclass(frozen=True)
class Wish:
    """What the command line asks for. Empty texts ask for nothing."""

    config: Path
    model: str = ""
    inputs: str = ""
    labels: str = ""
    since: str = ""
    until: str = ""
    force: bool = False
    workflow: bool = False
    dependabot: bool = False


@dataclass
class Talk:
    """The other end: `ask` puts a question with a default, `say` prints a line; both count."""

    ask: Callable[[str, str], str]
    say: Callable[[str], None]
    questions: int = 0

    def question(self, text: str, default: str) -> str:
        """The answer to a question."""
        self.questions += 1
        return self.ask(text, default)


@dataclass
class _Plan:
    """What will be written: nothing is, before everything is known."""

    models: list[Model] = field(default_factory=list)
    writes: list[Callable[[], None]] = field(default_factory=list)


def initialise(wish: Wish, talk: Talk) -> None:
    """Write a validator.yml, the inputs that it needs, and on request a workflow.

    Raises:
        ConfigurationError: there is a validator.yml already, no model, or no way to its inputs.
    """
    config = wish.config.resolve()
    automates = wish.workflow or wish.dependabot
    if config.exists() and automates and not wish.force:
        talk.say(f"{wish.config} stays as it is")
        _automate(wish, talk, scan(config.parent))
        return
    if config.exists() and not wish.force:
        raise ConfigurationError(
            f"{wish.config} exists; pass --force to replace it, or --config for another file"
        )
    if wish.labels and not wish.inputs:
        raise ConfigurationError("--labels belong to inputs: name these with --inputs, too")
    scanned = scan(config.parent)
    if wish.model:
        chosen = choose(wish.model, config.parent, talk.say)
        scanned = replace(scanned, artifacts=(chosen,), skipped=())
    for sentence in scanned.skipped:
        talk.say(f"left out: {sentence}")
    if not scanned.artifacts:
        raise ConfigurationError(
            f"{config.parent}: no model is in it: no .keras, .h5, SavedModel or MLflow folder; save one with "
            'model.save("model.keras"), or write a validator.yml with a `builder`'
        )
    known = _known(wish, scanned)
    branch = _branch(wish, scanned, known)
    matrix = propose(replace(known, before=branch.keras) if branch else known)
    plan = _planned(wish, scanned, talk)
    text = write_settings(plan.models, matrix, scanned)
    settings = parse(text, str(wish.config))  # what init writes, run reads
    text = with_pins(text, fetch_pins(settings, config.parent / WORK, talk.say), str(wish.config))
    for write_recording in plan.writes:
        write_recording()
    config.write_text(text, encoding="utf-8")
    _tell(wish, talk, plan.models, matrix)
    _automate(wish, talk, scanned)
    talk.say(f"next: keras-validator run --config {wish.config}")
    if branch:
        talk.say(f"      or all that this branch changes: run --config {wish.config} --base {branch.target}")


def _automate(wish: Wish, talk: Talk, scanned: Scan) -> None:
    """Write the workflow and the Dependabot group, where they are asked for."""
    if wish.workflow:
        talk.say(write_workflow(scanned.folder, force=wish.force))
    if wish.dependabot:
        talk.say(write_dependabot(scanned.folder, scanned.manifest, force=wish.force))


def _known(wish: Wish, scanned: Scan) -> VersionFacts:
    saved = next((each.keras for each in scanned.artifacts if each.keras), "")
    pins, manifest = dict(scanned.pins), scanned.manifest
    requirements = scanned.requirements
    logged = next((each.requirements for each in scanned.artifacts if each.requirements), None)
    if logged is not None and not manifest:
        pins, requirements, manifest = read_pins(logged), {}, "the MLflow model"
    written = next((each.tensorflow for each in scanned.artifacts if each.tensorflow), "")
    if written and not saved and not any(name.startswith("tensorflow") for name in pins):
        pins["tensorflow"], manifest = written, "the SavedModel"
    return VersionFacts(saved, pins, requirements, manifest, wish.since, wish.until)


def _branch(wish: Wish, scanned: Scan, known: VersionFacts) -> MovingBranch | None:
    """The branch that is checked out, if it moves Keras and nobody named releases."""
    pinned = dict(known.pins or {}).get("keras", "")
    if wish.since or wish.until or not pinned or known.manifest != scanned.manifest:
        return None
    return branch_that_moves(scanned.folder, scanned.manifest, pinned)


def _planned(wish: Wish, scanned: Scan, talk: Talk) -> _Plan:
    plan = _Plan()
    missing = []
    alone = len(scanned.artifacts) == 1
    for artifact, proposed in propose_models(scanned):
        specification, why = _specification(artifact)
        fed, write_inputs = _fed(_Subject(wish, scanned, artifact, specification), proposed, alone, talk)
        if fed is None:
            missing.append(why)
            continue
        plan.models.append(fed)
        plan.writes += [write_inputs] if write_inputs else []
    if not plan.models:
        raise ConfigurationError(missing[0])
    for sentence in missing:
        talk.say(f"left out: {sentence}")
    return plan


def _specification(artifact: Artifact) -> tuple[Specification | None, str]:
    try:
        return read_specification(artifact.path), ""
    except ConfigurationError as error:
        return None, str(error)


@dataclass(frozen=True)
class _Subject:
    """A model and all that is known about where its inputs may come from."""

    wish: Wish
    scanned: Scan
    artifact: Artifact
    specification: Specification | None


def _fed(
    subject: _Subject, model: Model, alone: bool, talk: Talk
) -> tuple[Model | None, Callable[[], None] | None]:
    """The model with its inputs, and what writes them; None where there is no way to them."""
    folder = subject.scanned.folder
    if subject.wish.inputs:
        return _from_place(model, subject, subject.wish.inputs, subject.wish.labels)
    beside = recordings_beside(subject.artifact, folder, alone)
    if beside.inputs is None and alone:
        beside = recordings_that_fit(subject.artifact, subject.specification)
    if beside.inputs is not None:
        return _beside(model, subject, beside), None
    return _made(subject, model, talk)


def _made(subject: _Subject, model: Model, talk: Talk) -> tuple[Model | None, Callable[[], None] | None]:
    """Inputs that are not at hand: made earlier, MLflow's example, asked for, or synthetic."""
    folder = subject.scanned.folder
    target = folder / RECORDINGS / model.name
    name = target.relative_to(folder).as_posix()
    batch = subject.specification.batch if subject.specification else None
    if (target / MANIFEST).is_file() and not subject.wish.force:
        made = load_recording(target).synthetic
        return replace(model, inputs=name, synthetic=made, batch_size=batch), None
    example = subject.artifact.example
    if example is not None:
        given = replace(model, inputs=name, batch_size=batch)
        return given, lambda: write_example(example, subject.specification, target)
    specification = subject.specification
    answer = talk.question((_QUESTION if specification else _NEEDED).format(model.name), "")
    if answer or specification is None:
        return _from_place(model, subject, answer, "") if answer else (None, None)
    comments = (*model.comments, *specification.assumed)
    filled = replace(model, inputs=name, synthetic=True, batch_size=batch, comments=comments)
    why = f"made from the inputs that {model.artifact} describes"
    return filled, lambda: write_synthetic(specification, target, why)


_QUESTION = (
    "No recorded inputs of {}. Name a file (.npz, .npy, .csv, .parquet), a recording or "
    "package.module:function; empty: make synthetic ones"
)
_NEEDED = "Inputs of {}: a file (.npz, .npy, .csv, .parquet), a recording or package.module:function"


def _beside(model: Model, subject: _Subject, beside: Beside) -> Model:
    folder = subject.scanned.folder
    labels = beside.labels.relative_to(folder).as_posix() if beside.labels else None
    inputs = beside.inputs.relative_to(folder).as_posix() if beside.inputs else None
    batch = subject.specification.batch if subject.specification else None
    metrics = metrics_for(subject.artifact) if labels else ()
    return replace(model, inputs=inputs, labels=labels, metrics=metrics, batch_size=batch)


def _from_place(
    model: Model, subject: _Subject, place: str, labels: str
) -> tuple[Model, Callable[[], None] | None]:
    """Inputs that the user names: used in place, a CSV converted."""
    folder = subject.scanned.folder
    if any(is_function(each) or is_remote(each) for each in (place, labels)):
        metrics = metrics_for(subject.artifact) if labels else ()
        named = [_named(each, folder) for each in (place, labels) if each]
        return replace(model, inputs=named[0], labels=named[1] if labels else None, metrics=metrics), None
    path = Path(place).resolve()
    if not path.exists():
        raise ConfigurationError(
            f"{place}: there is no such file; name recorded inputs, or leave --inputs out"
        )
    if path.suffix.lower() != ".csv":
        answers = _inside(Path(labels), folder) if labels else labels_beside(path)
        return _beside(model, subject, Beside(_inside(path, folder), answers)), None
    return _from_csv(model, subject, path, labels)


def _from_csv(
    model: Model, subject: _Subject, path: Path, labels: str
) -> tuple[Model, Callable[[], None] | None]:
    """The columns of a CSV that the model takes, and the one that holds its labels, if that is named."""
    target = subject.scanned.folder / RECORDINGS / model.name
    arrays = read_csv(path)
    columns = [each for each in arrays if each != labels]
    names = [each.name for each in subject.specification.inputs] if subject.specification else columns
    absent = [name for name in (*names, *([labels] if labels else [])) if name not in arrays]
    if absent:
        takes = "which the model takes; add it" if absent[0] in names else "named by --labels; correct that"
        raise ConfigurationError(f"{path.name}: it has no column {absent[0]!r}, {takes}")
    ids = [f"{path.name}:{number}" for number in range(2, 2 + len(next(iter(arrays.values()))))]
    table = SampleTable({name: list(arrays[name]) for name in names}, ids, path.name)
    answers = SampleTable({"label": list(arrays[labels])}, ids, path.name) if labels else None

    def convert() -> None:
        try:
            write(target, table, answers)
        except RecordingError as error:
            raise ConfigurationError(str(error)) from None

    inputs = target.relative_to(subject.scanned.folder).as_posix()
    if labels:
        metrics = metrics_for(subject.artifact)
        return replace(model, inputs=inputs, labels=f"{inputs}/labels", metrics=metrics), convert
    other = [name for name in columns if name not in names]
    hint = f"--labels scores a column of {path.name} that the model does not take: {', '.join(other[:5])}"
    comments = (*model.comments, hint) if other else model.comments
    return replace(model, inputs=inputs, comments=comments), convert


def _named(place: str, folder: Path) -> str:
    """A file as the validator.yml names it; an address or a function as it is."""
    if is_function(place) or is_remote(place):
        return place
    return _inside(Path(place), folder).relative_to(folder).as_posix()


def _inside(path: Path, folder: Path) -> Path:
    resolved = path.resolve()
    if not resolved.is_relative_to(folder):
        raise ConfigurationError(
            f"{path} is not below {folder}, where the validator.yml will be; copy it there"
        )
    return resolved


def _tell(wish: Wish, talk: Talk, models: list[Model], matrix: ProposedMatrix) -> None:
    """What was written, and what it claims."""
    for sentence in _summary(wish, models, matrix):
        talk.say(sentence)


def _summary(wish: Wish, models: list[Model], matrix: ProposedMatrix) -> Iterator[str]:
    against = " and ".join(matrix.keras[1:])
    yield f"{wish.config} is written: Keras {matrix.keras[0]} ({matrix.source}) against {against}"
    for model in models:
        kind = (
            "synthetic inputs; outputs are compared, accuracy is not known" if model.synthetic else "inputs"
        )
        yield f"  {model.name}: {model.artifact}, {kind}: {model.inputs}"
        if model.labels:
            yield f"    labels: {model.labels}, scored by {', '.join(model.metrics) or 'no metric yet'}"
        elif not model.synthetic:
            yield "    no labels: outputs are compared, accuracy is not known; --labels names them"
        yield from (f"    note: {comment}" for comment in model.comments)
