"""`keras-validator run`: find the upgrade, run the matrix, write and print the report."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path

from rich.console import Console

from validator import config
from validator.cluster import PIECE, Executor, Provenance
from validator.config.settings import OriginSettings
from validator.environments import Uv, UvInstaller
from validator.errors import ConfigurationError, Exit, ValidatorError
from validator.github import StepFiles, read_context
from validator.matrix import BASE, AskedMoves, MatrixSelection, Shard, cut, part_of
from validator.pipeline import pull_request
from validator.pipeline.base_files import extract_base_files, with_common_inputs
from validator.pipeline.bounds import announce
from validator.pipeline.canary import Canary
from validator.pipeline.dropping import settle
from validator.pipeline.history import CodePlace, place_of, remember
from validator.pipeline.parts import PlannedRun, remove_parts, write_part
from validator.pipeline.pieces import joinable, predict_piece
from validator.pipeline.project import Project, display_path, open_project
from validator.pipeline.pull_request import PullRequest, actions_job
from validator.pipeline.run_folder import WORK, RunFolder, locked
from validator.pipeline.shard_request import ShardRequest
from validator.pipeline.supply import supplied, tell
from validator.pipeline.validate import Run, bare, print_report, validate, write
from validator.report.progress import Progress
from validator.runner import COMPLETE, Watcher, write_text
from validator.verdict.gate import judge_run, with_restored
from validator.verdict.results import Reason, Report, WorkflowRun

NOTHING_TO_RESUME = "--resume: no interrupted run is in this directory, so everything runs"


@dataclass(frozen=True)
class Request:
    """What the command line asks for; `base`, `head` and `event` name the commits that are compared.

    `moves`: packages of the project that are moved instead, at HEAD. `history`: the file that the run adds a
    line to; None for that of the configuration.
    `quiet`: no progress is shown. `origin`: whether what moved is traced, as far as the settings allow.
    `shard`: the part of the plan that is run, for `merge`. `cache`: where captures are kept for later runs.
    `resume`: whether what an interrupted run in this folder has measured is used.
    `executor`: where shards are run instead of this machine. A shard that another machine asked for resolves
    ranges at its `instant`, and takes what it fetched by its `pins`: address → digest. `pieces`: what made
    those of its predictions that others made.
    """

    config: Path
    only: tuple[str, ...] = ()
    output: Path | None = None
    json: bool = False
    jobs: int | None = None
    base: str | None = None
    head: str | None = None
    event: bool = False
    selection: MatrixSelection = field(default_factory=MatrixSelection)
    moves: AskedMoves = field(default_factory=AskedMoves)
    history: Path | None = None
    quiet: bool = False
    origin: bool = True
    shard: Shard | None = None
    cache: Path | None = None
    resume: bool = False
    executor: Executor | None = None
    instant: str | None = None
    pins: Mapping[str, str] = field(default_factory=dict)
    pieces: tuple[Provenance, ...] = ()

    def __post_init__(self) -> None:
        if self.executor is not None and self.shard is not None:
            raise ConfigurationError("--executor cannot be combined with --shard: it makes the shards itself")
        if self.event and self.head is not None:
            raise ConfigurationError("--head cannot be combined with --event, which names the head itself")
        if self.moves and self.base is not None:
            raise ConfigurationError(
                f"{self.moves.option} cannot be combined with --base: it moves packages of HEAD itself"
            )

    @property
    def folder(self) -> RunFolder:
        """The folder of the run: the requested folder, or one beside the configuration."""
        name = "only" if self.only or self.selection else "run"
        return RunFolder((self.output or self.config.resolve().parent / WORK / name).resolve())

    @property
    def part(self) -> Path:
        """What the shard leaves."""
        return self.folder.root / (self.shard or Shard(1, 1)).file


def requested(shard: ShardRequest, output: Path | None) -> Request:
    """The request of a shard whose client is another machine."""
    return Request(
        Path(shard.config),
        shard.only,
        output,
        jobs=shard.jobs,
        base=shard.base,
        head=shard.head,
        selection=MatrixSelection(shard.models, shard.baseline, shard.against),
        moves=AskedMoves(shard.requirements, shard.prereleases),
        origin=shard.origin,
        shard=Shard.read(shard.shard),
        instant=shard.instant,
        pins=shard.pins,
        pieces=shard.pieces,
    )


def run_shard(shard: ShardRequest, output: Path | None) -> Exit:
    """Run a shard whose client is another machine, or predict a piece of its samples."""
    request = requested(shard, output)
    if not shard.piece:
        return run_matrix(request)
    with locked(request.folder.root, "the run"):
        project = opened(request, find_upgrade(request))
        with _prepared(request, _own_part(request, project)) as run:
            predicted = predict_piece(run, Shard.read(shard.piece), shard.longest)
        write_text(request.folder.root / PIECE, predicted.model_dump_json() + "\n")
    return Exit.OK


def find_upgrade(request: Request) -> PullRequest | None:
    """What the request's commits change; None where it names none, and the matrix alone is run.

    Raises:
        ConfigurationError: commits, manifests, or the event cannot be used.
    """
    if request.event:
        asked = pull_request.asked_by_actions(read_context(os.environ), request.base)
    else:
        asked = pull_request.asked_by_revisions(request.base, request.head)
    if asked is not None and request.moves:
        raise ConfigurationError(
            f"{request.moves.option} moves packages of HEAD, but this event compares two commits: run it on "
            "`schedule` or `workflow_dispatch`"
        )
    if asked is None and not request.moves:
        return None
    path = request.config.resolve()
    settings = config.load(path)
    uv = Uv.bundled(os.environ, settings.install.variables)
    if asked is None:
        return Canary(path, settings, request.moves, uv, _job(request)[0], request.instant).find()
    installer = UvInstaller(uv, index_strategy=settings.install.index_strategy)
    return pull_request.find(path, settings, asked, installer, request.instant)


def run_matrix(request: Request) -> Exit:
    """Run as `produce` does, and print the report. A shard that ran is OK: `merge` decides."""
    code = print_report(produce(request), json=request.json)
    page = request.folder.root / "report.html"
    if page.is_file() and not request.json:
        tell(f"report: {display_path(page.resolve())}")
    if request.shard is None:
        return code
    tell(f"shard {request.shard}: for `keras-validator merge`: {display_path(request.part)}")
    return Exit.OK


def produce(request: Request) -> Report:
    """Find the upgrade, run every cell of the plan, judge, and write the report.

    Where commits are compared and nothing relevant changed between them, nothing is run; nor where what
    changed could not be read, which is inconclusive.

    Raises:
        ConfigurationError: the configuration or a file it names cannot be used, or the folder is in use.
            The folder then holds a report that says so, and none of an earlier run.
        KeyboardInterrupt: passed on when every child is gone.
    """
    folder = request.folder
    with locked(folder.root, "the run"):
        folder.report().unlink(missing_ok=True)
        folder.history().unlink(missing_ok=True)
        remove_parts(folder)
        if request.event:
            write(folder, _failed(request, "The run ended without a result; its log says why"))
        files = StepFiles.read(os.environ if request.event else {})
        try:
            place = place_of(request.config, request.history)
            change = find_upgrade(request)
            project = None
            if change and is_settled(request, change):
                report = _not_run(request, change)
            else:
                project = opened(request, change)
                alone = change is not None and not project.plan.compared
                report = _uncompared(request, change) if change and alone else _run(request, project)
        except ValidatorError as error:
            write(folder, _failed(request, str(error)))
            raise
        finally:  # every child is gone
            restored = files.restore()
        report = with_restored(report, restored)
        write(folder, report)
        code = CodePlace.of(request.config.resolve())
        if request.shard is None:
            remember(folder, report, code, place)
        else:
            settings = config.load(request.config.resolve()) if project is None else project.settings
            write_part(request.part, PlannedRun(request.shard, settings, project, code), report)
        if project is not None:
            settle(folder, report, project.settings.keep)
        return report


def is_settled(request: Request, change: PullRequest) -> bool:
    """Whether nothing is run: nothing relevant changed, or what changed could not be read."""
    upgrade = change.detected.upgrade
    return bool(upgrade.undecided) or not (upgrade.relevant or request.only)


def opened(request: Request, change: PullRequest | None) -> Project:
    """The project of a request, with the part of its plan that is asked for."""
    project = open_project(request.config, request.only, change, request.selection)
    if not request.pins:
        return project
    pins = {**project.settings.sha256, **request.pins}
    return replace(project, settings=project.settings.model_copy(update={"sha256": pins}))


def run_cells(request: Request, change: PullRequest | None) -> Report:
    """Run the cells of a request without a search for their origin, and write the report."""
    with locked(request.folder.root, "the run"):
        project = opened(request, change)
        report = _run(replace(request, origin=False), project)
        write(request.folder, report)
        settle(request.folder, report, project.settings.keep)
        return report


def _run(request: Request, project: Project) -> Report:
    if request.executor is not None:
        return _on_cluster(request, project)
    project = _own_part(request, project)
    if request.shard is not None and not project.plan.cells:
        return _idle(request, project)
    with _prepared(request, project) as run:
        return validate(run)


def _own_part(request: Request, project: Project) -> Project:
    """The project with the cells of the request's shard alone, where it names one."""
    if request.shard is None:
        return project
    cells = part_of(project.plan, request.shard)[request.shard.index - 1]
    return replace(project, plan=cut(project.plan, cells))


@contextlib.contextmanager
def _prepared(request: Request, project: Project) -> Iterator[Run]:
    """A run of a project on this machine, with what its models name and an empty folder."""
    say = (lambda _: None) if request.quiet else tell
    announce(project, say)
    project = supplied(project, say)
    clear(request.folder, resume=request.resume, say=say)
    if not request.origin:
        settings = project.settings.model_copy(update={"origin": OriginSettings(seconds=0)})
        project = replace(project, settings=settings)
    jobs = workers(project, request.jobs)
    with progress(project, jobs, quiet=request.json or request.quiet) as watcher:
        base = extract_base_files(project, request.folder)
        project = with_common_inputs(project, base, request.folder) if base else project
        commit, workflow_run = _job(request)
        run = Run(
            project, request.folder, jobs, watcher, base, commit, workflow_run, request.cache, request.resume
        )
        pieces, notes = joinable(project, request.folder, request.pieces)
        yield replace(run, pieces=pieces, notes=notes)


def _on_cluster(request: Request, project: Project) -> Report:
    from validator.pipeline.clustered import ClusterRun

    assert request.executor is not None  # noqa: S101 - the caller has one
    began = datetime.now(timezone.utc)
    say = (lambda _: None) if request.quiet else tell
    report = ClusterRun(request, project, request.executor, say).report()
    seconds = round((datetime.now(timezone.utc) - began).total_seconds(), 1)
    return report.model_copy(update={"workflow_run": _job(request)[1], "seconds": seconds})


def workers(project: Project, jobs: int | None) -> int:
    """How many environments compute at a time: the number asked for, or one a core."""
    most = len(project.plan.environments)
    return min(most, jobs or len(os.sched_getaffinity(0)))


def clear(folder: RunFolder, *, resume: bool = False, say: Callable[[str], None] = lambda _: None) -> None:
    """Remove what an earlier run left; to resume it, all but what it measured, and `say` how much that is."""
    count = len(list(folder.ended().glob("*.json"))) if resume else 0
    if resume:
        say(f"--resume: {count} jobs of the interrupted run have ended" if count else NOTHING_TO_RESUME)
    (folder.ended() / COMPLETE).unlink(missing_ok=True)
    for path in (folder.base_files(), *(() if count else (folder.captures(""), folder.ended()))):
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def progress(project: Project, jobs: int, *, quiet: bool = False) -> Iterator[Watcher]:
    """Progress on stderr, so that stdout stays the report's; live on a terminal, unless CI has one."""
    console = Console(stderr=True, quiet=quiet)
    in_ci = os.environ.get("CI", "").lower() not in ("", "0", "false")
    live = console.is_terminal and not (console.is_dumb_terminal or quiet or in_ci)
    cells = frozenset(cell.id for cell in project.plan.cells)
    with Progress(console, cells, live=live, workers=jobs) as view:
        yield Watcher(
            view.environment, view.job_started, view.job_finished, view.learnt, view.planned, view.noted
        )


def _failed(request: Request, why: str) -> Report:
    """The report of a run that could not begin or end."""
    reason = Reason(kind="error", error=why)
    return bare(reason, event=request.event, configuration=display_path(request.config.resolve()))


def _not_run(request: Request, change: PullRequest) -> Report:
    """The report where nothing is run: nothing that could move a model's numbers changed, or who knows."""
    undecided = bool(change.detected.upgrade.undecided)
    reason = Reason(kind="undecided" if undecided else "irrelevant")
    report = _about(
        change, bare(reason, event=request.event, configuration=display_path(request.config.resolve()))
    )
    return report if undecided else report.model_copy(update={"verdict": "pass"})


def _idle(request: Request, project: Project) -> Report:
    """The report of a shard that has no cells: there are more shards than can be made of the plan."""
    reason = Reason(kind="nothing-compared")
    return _about(project.pull_request, bare(reason, event=request.event, configuration=project.display_path))


def _about(change: PullRequest | None, report: Report) -> Report:
    """A report of what changed, of now."""
    about = {"upgrade": change.detected.upgrade, "commit": change.commit} if change else {"commit": None}
    started = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return report.model_copy(update={"baseline": BASE, "started": started, **about})


def _uncompared(request: Request, change: PullRequest) -> Report:
    """The report where models come or go, and nothing else changed."""
    verdict, reasons = judge_run((), change.detected.reasons)
    return _not_run(request, change).model_copy(update={"verdict": verdict, "reasons": reasons})


def _job(request: Request) -> tuple[str | None, WorkflowRun | None]:
    """The commit that this job of GitHub Actions reports on, and its run; nothing without `--event`."""
    return actions_job() if request.event else (None, None)
