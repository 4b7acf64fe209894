"""`accept` and `review`: what they write, what they refuse, and what they ask."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.upgrade.conftest import Repo
from tests.verdict.acceptance_cases import accept, cell, report
from validator.checks.loading.types import CellFailed
from validator.config import load
from validator.errors import ConfigurationError
from validator.failure import Failure
from validator.pipeline.acceptances import register
from validator.pipeline.accepting import Dialogue, Ledger, People, accept_cell, review_all, review_named
from validator.pipeline.pull_request import PullRequest
from validator.report import json
from validator.upgrade import Detected, Revisions, Side, Upgrade
from validator.verdict.acceptance_file import read, with_entry
from validator.verdict.results import Report

NAMES = ("m", "m1", "m2")
CONFIG = "version: 1\nmodels:\n" + "".join(
    f"- {{name: {name}, builder: 'a:b', inputs: i.npz}}\n" for name in NAMES
)
WHY = People("the new kernel is right", by="Ada")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "validator.yml").write_text(CONFIG)
    write_run(tmp_path, report(names=NAMES))
    return tmp_path


def write_run(folder: Path, made: Report, name: str = "run") -> Path:
    run = folder / ".keras-validator" / name
    run.mkdir(parents=True, exist_ok=True)
    (run / "report.json").write_text(json.dump(made))
    return run


def ledger(folder: Path, run: Path | None = None) -> Ledger:
    return Ledger.open(folder / "validator.yml", run)


def accepted(folder: Path) -> list[str]:
    return [entry.cell for entry in read(folder / "keras-acceptances.yml")]


def command(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "validator", *arguments],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT), **variables}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_accepting_a_cell_writes_an_entry_that_holds_for_its_run(project: Path) -> None:
    said: list[str] = []
    accept_cell(ledger(project), "m@head", WHY, said.append)
    (entry,) = read(project / "keras-acceptances.yml")
    assert (entry.cell, entry.reason, entry.by, entry.until) == ("m@head", WHY.reason, "Ada", None)
    assert report(entry).verdict == "warn"
    assert said[0] == "accepted m@head"
    assert "keras-acceptances.yml" in said[1]


def test_the_setting_names_another_file(project: Path) -> None:
    (project / "validator.yml").write_text(f"acceptances: reviewed/changes.yml\n{CONFIG}")
    accept_cell(ledger(project), "m@head", WHY, print)
    assert [entry.cell for entry in read(project / "reviewed" / "changes.yml")] == ["m@head"]


def test_the_last_run_is_the_one_that_counts(project: Path) -> None:
    only = write_run(project, report(), "only")
    os.utime(only / "report.json", (2e9, 2e9))
    assert [each.cell for each in ledger(project).pending()] == ["m@head"]
    assert len(ledger(project, project / ".keras-validator" / "run").pending()) == 3
    assert len(ledger(project, project / ".keras-validator" / "run" / "report.json").pending()) == 3


def test_without_a_run_it_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "validator.yml").write_text(CONFIG)
    with pytest.raises(ConfigurationError, match=r"no finished run; `keras-validator run` makes one"):
        ledger(tmp_path)


def test_an_unknown_cell_is_answered_with_the_nearest(project: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"m1@haed: no such cell .*did you mean m1@head"):
        accept_cell(ledger(project), "m1@haed", WHY, print)


def test_what_has_no_result_says_what_to_do_instead(project: Path) -> None:
    dead = Failure(stage="load", error="ValueError", message="dead")
    write_run(project, report(judged=cell("failed", CellFailed(failure=dead, verdict="failed"))))
    with pytest.raises(ConfigurationError, match=r"m@head cannot be accepted: it failed.*matrix.exclude"):
        accept_cell(ledger(project), "m@head", WHY, print)
    assert ledger(project).pending() == ()


@pytest.mark.parametrize(
    ("people", "message"),
    [
        (People("", by="Ada"), "--reason '' says nothing"),
        (People("…", by="Ada"), "--reason '…' says nothing"),
        (People("x" * 501, by="Ada"), "more than 500 characters"),
        (People("right", by=" "), "--by"),
        (People("right", "28.2.2027", "Ada"), "not a date; write it as"),
        (People("right", "2020-01-01", "Ada"), "that day is over"),
    ],
)
def test_a_reviewer_must_be_able_to_read_it(project: Path, people: People, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        accept_cell(ledger(project), "m@head", people, print)
    assert accepted(project) == []


def test_a_file_that_cannot_be_read_is_left_as_it_is(project: Path) -> None:
    path = project / "keras-acceptances.yml"
    path.write_text("version: 1\nacceptences: []\n")
    with pytest.raises(ConfigurationError, match="line 2: unknown key 'acceptences'; did you mean"):
        accept_cell(ledger(project), "m@head", WHY, print)
    assert path.read_text() == "version: 1\nacceptences: []\n"


def test_accepting_again_replaces_the_entry(project: Path) -> None:
    for until in ("", str(date.today() + timedelta(days=9))):
        accept_cell(ledger(project), "m@head", People("right", until, "Ada"), print)
    (entry,) = read(project / "keras-acceptances.yml")
    assert entry.until is not None


class TestReview:
    @staticmethod
    def dialogue(*answers: str) -> tuple[Dialogue, list[str]]:
        given, said = iter(answers), []
        return Dialogue(lambda _: next(given), said.append), said

    def test_each_answer_counts(self, project: Path) -> None:
        talk, said = self.dialogue("a", "r", "what?", "s")
        review_all(ledger(project), WHY, talk)
        assert accepted(project) == ["m@head"]
        assert said[-2] == "1 accepted, 1 rejected, 1 skipped"
        assert "'what?' is none of a, r, s, q" in said
        left = [each.cell for each in ledger(project).pending()]
        assert left == ["m2@head"]

    def test_a_finding_is_three_lines(self, project: Path) -> None:
        talk, said = self.dialogue("s", "q")
        review_all(ledger(project), WHY, talk)
        first = said[:3]
        assert first[0].startswith("[1/3] m@head: changed")
        assert "drift ÷ noise 100×" in first[1]
        assert first[2].strip() == "keras 3.3.3 -> 3.5.0"
        assert said[3].startswith("[2/3]")
        assert said[-1] == "0 accepted, 0 rejected, 3 skipped"

    def test_a_reason_is_asked_for_where_none_was_given(self, project: Path) -> None:
        talk, _ = self.dialogue("accept", "as intended", "q")
        review_all(ledger(project), People("", by="Ada"), talk)
        assert [entry.reason for entry in read(project / "keras-acceptances.yml")] == ["as intended"]

    def test_what_was_rejected_is_pending_again_in_the_next_run(self, project: Path) -> None:
        review_named(ledger(project), ["m1@head"], None, print)
        assert "m1@head" not in [each.cell for each in ledger(project).pending()]
        write_run(project, report(names=NAMES).model_copy(update={"started": "2026-11-29T00:00:00+00:00"}))
        assert "m1@head" in [each.cell for each in ledger(project).pending()]

    def test_ids_or_all_ask_nothing(self, project: Path) -> None:
        review_named(ledger(project), ["m2@head", "m@head"], WHY, print)
        assert accepted(project) == ["m2@head", "m@head"]
        review_named(ledger(project), [], WHY, print)
        assert accepted(project) == ["m2@head", "m@head", "m1@head"]
        said: list[str] = []
        review_named(ledger(project), [], WHY, said.append)
        assert said == ["nothing to accept: no cell of the run is pending"]

    def test_one_unknown_id_and_nothing_is_written(self, project: Path) -> None:
        with pytest.raises(ConfigurationError, match=r"did you mean m1@head"):
            review_named(ledger(project), ["m@head", "m1@hed"], WHY, print)
        assert accepted(project) == []


class TestCommandLine:
    def test_accept(self, project: Path) -> None:
        done = command(
            project, "accept", "m@head", "--reason", "right", "--by", "Ada", "--until", "2999-01-01"
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert "accepted m@head" in done.stdout
        assert read(project / "keras-acceptances.yml")[0].until == date(2999, 1, 1)

    def test_who_accepts_is_the_user_of_git(self, project: Path) -> None:
        home = project / "home"
        home.mkdir()
        own = {"HOME": str(home), "XDG_CONFIG_HOME": str(home)}
        subprocess.run(["git", "init", "-q", str(project)], check=True)
        unnamed = command(project, "accept", "m@head", "--reason", "right", **own)
        assert unnamed.returncode == 2
        assert "pass --by NAME" in unnamed.stderr
        subprocess.run(["git", "-C", str(project), "config", "user.name", "Grace"], check=True)
        assert command(project, "accept", "m@head", "--reason", "right", **own).returncode == 0
        assert read(project / "keras-acceptances.yml")[0].by == "Grace"

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["accept", "m@hed", "--reason", "right"], "did you mean m@head"),
            (["accept", "m@head", "--reason", " "], "says nothing"),
            (["review"], "no terminal to ask on: pass ids or --all with --reason, or --list"),
            (["review", "--all"], "review needs --reason"),
            (["review", "m@head", "--all", "--reason", "right"], "not both"),
            (["review", "--reject"], "--reject needs ids"),
            (["review", "x@y", "--reason", "right", "--by", "A"], "x@y: no such cell"),
            (
                ["accept", "m@head", "--reason", "right", "--run", "elsewhere"],
                "name the folder of a finished run",
            ),
        ],
    )
    def test_wrong_use_ends_with_2(self, project: Path, arguments: Sequence[str], message: str) -> None:
        done = command(project, *arguments)
        assert done.returncode == 2, done
        assert message in done.stderr
        assert accepted(project) == []

    def test_review_for_scripts(self, project: Path) -> None:
        listed = command(project, "review", "--list")
        assert listed.stdout.split() == ["m@head", "m1@head", "m2@head"]
        assert command(project, "review", "m1@head", "--reject").returncode == 0
        assert command(project, "review", "--all", "--reason", "right", "--by", "Ada").returncode == 0
        assert accepted(project) == ["m@head", "m2@head"]

    def test_review_on_a_terminal(self, project: Path) -> None:
        ours, its = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "validator", "review", "--reason", "right", "--by", "Ada"],
            cwd=project, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdin=its, stdout=its, stderr=its,
        )  # fmt: skip
        os.close(its)
        os.write(ours, b"a\ns\nq\n")
        shown = b"".join(output_of(ours)).decode()
        assert process.wait(60) == 0
        assert "accept, reject, skip or quit?" in shown
        assert "1 accepted, 0 rejected, 2 skipped" in shown
        assert accepted(project) == ["m@head"]


def output_of(descriptor: int) -> Iterator[bytes]:
    while True:
        try:
            part = os.read(descriptor, 4096)
        except OSError:  # the other side is closed
            return
        if not part:
            return
        yield part


def pull_request(base: str, head: str) -> PullRequest:
    made = Detected(
        upgrade=Upgrade(changes=(), relevant=True),
        base=Side(name="base"),
        head=Side(name="head"),
        revisions=Revisions(base=base, head=head, tip=head),
    )
    return PullRequest(made, "2026-11-28T00:00:00Z", head)


@pytest.mark.parametrize("folder", ["", "services/ocr/"])
def test_what_the_base_has_not_is_new(tmp_path: Path, folder: str) -> None:
    repo = Repo(tmp_path)
    repo.git("init", "--quiet")
    file, config = f"{folder}keras-acceptances.yml", tmp_path / folder / "validator.yml"
    old, new = accept(), accept(packages={"keras": "3.5.0 -> 3.6.0"})
    text = with_entry("", old, file)
    base = repo.commit({f"{folder}validator.yml": CONFIG, file: text})
    head = repo.commit({file: with_entry(text, new, file)})
    register_of = partial(register, config, load(config))
    assert register_of(None).before is None
    kept = register_of(pull_request(base, head))
    assert (kept.entries, kept.before) == ((old, new), (old,))
    repo.commit({file: "acceptances: nonsense"})
    broken = repo.git("rev-parse", "HEAD")
    repo.commit({file: text})
    assert register_of(pull_request(broken, head)).before == ()
    none = repo.commit({file: None})
    repo.commit({file: text})
    assert register_of(pull_request(none, head)).before == ()


def test_a_file_that_nobody_reviews_is_refused(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repository")
    repo.git("init", "--quiet")
    (tmp_path / "own.yml").write_text(with_entry("", accept(), "own.yml"))
    base = repo.commit({"validator.yml": f"acceptances: ../own.yml\n{CONFIG}"})
    config = repo.folder / "validator.yml"
    with pytest.raises(ConfigurationError, match="lies outside the repository, where nobody reviews it"):
        register(config, load(config), pull_request(base, base))


def test_a_model_that_validator_yml_lacks_is_unknown(project: Path) -> None:
    accept_cell(ledger(project), "m@head", WHY, print)
    path = project / "validator.yml"
    assert register(path, load(path), None).unknown == frozenset()
    path.write_text(CONFIG.replace("name: m,", "name: renamed,"))
    assert register(path, load(path), None).unknown == {"m@head"}
