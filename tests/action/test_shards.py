"""Shards of a run by the command line: planned, run and merged in real repositories. No model is run."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.action.conftest import SETTINGS, Consumer, outputs

MATRIX = 'matrix: {keras: ["3.5.0", "3.6.0"], include: [{keras: "3.7.0"}]}\n'
REQUIREMENTS = "keras==3.3.3\ntensorflow-cpu==2.17.1\n"


def matrix(consumer: Consumer, *arguments: str) -> list[dict[str, Any]]:
    done = consumer.run("plan", "--format", "github", *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    made: dict[str, Any] = json.loads(done.stdout)
    assert list(made) == ["include"]
    jobs: list[dict[str, Any]] = made["include"]
    return jobs


def merged(consumer: Consumer, *arguments: str) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    done = consumer.run("merge", *arguments)
    path = consumer.folder / ".keras-validator" / "run" / "report.json"
    return done, json.loads(path.read_text()) if path.is_file() else {}


def test_the_matrix_of_jobs_has_a_job_an_environment_and_no_more_than_asked_for(consumer: Consumer) -> None:
    consumer.start({"requirements.txt": REQUIREMENTS, "validator.yml": SETTINGS + MATRIX})
    consumer.commit({"requirements.txt": REQUIREMENTS.replace("3.3.3", "3.4.1")}, "Bump keras")
    assert matrix(consumer, "--base", "HEAD^") == [
        {"shard": "1/4", "index": 1, "name": "head"},
        {"shard": "2/4", "index": 2, "name": "keras-3.5.0"},
        {"shard": "3/4", "index": 3, "name": "keras-3.6.0"},
        {"shard": "4/4", "index": 4, "name": "keras-3.7.0"},
    ]
    assert [job["name"] for job in matrix(consumer, "--base", "HEAD^", "--shards", "2")] == [
        "head, keras-3.6.0",
        "keras-3.5.0, keras-3.7.0",
    ]
    assert consumer.run("plan", "--format", "github", "--shards", "257").returncode == 2


def test_where_nothing_is_run_a_shard_says_so_and_the_merged_run_passes(consumer: Consumer) -> None:
    consumer.start({"requirements.txt": REQUIREMENTS, "README.md": "before"})
    consumer.commit({"README.md": "after"}, "Words")
    assert matrix(consumer, "--base", "HEAD^") == [{"shard": "1/1", "index": 1, "name": "nothing to run"}]
    ran = consumer.run("run", "--base", "HEAD^", "--shard", "1/1")
    assert ran.returncode == 0, ran.stderr
    assert "shard 1/1: for `keras-validator merge`: .keras-validator/run/part-1-of-1.json" in ran.stderr
    done, report = merged(consumer, ".keras-validator/run")
    assert done.returncode == 0, done.stderr
    assert [reason["kind"] for reason in report["reasons"]] == ["irrelevant"]
    assert report["commit"] == consumer.git("rev-parse", "HEAD")
    for name in ("report.md", "report.html", "junit.xml"):
        assert (consumer.folder / ".keras-validator" / "run" / name).is_file()


def test_what_could_not_be_read_stays_inconclusive_in_shards(consumer: Consumer) -> None:
    consumer.start({"setup.py": "setup(install_requires=['keras==3.3.3'])\n"})
    consumer.commit({"setup.py": "setup(install_requires=['keras==3.5.0'])\n"}, "Bump keras")
    ran = consumer.run("run", "--base", "HEAD^", "--shard", "1/1")
    assert ran.returncode == 0, ran.stderr  # `merge` judges
    done, report = merged(consumer, ".keras-validator/run")
    assert (done.returncode, report["verdict"]) == (3, "inconclusive")
    assert [reason["kind"] for reason in report["reasons"]] == ["undecided"]


def test_a_shard_without_cells_runs_nothing(consumer: Consumer) -> None:
    consumer.start({"requirements.txt": REQUIREMENTS})
    consumer.commit({"requirements.txt": REQUIREMENTS.replace("3.3.3", "3.5.0")}, "Bump keras")
    ran = consumer.run("run", "--base", "HEAD^", "--shard", "2/2")
    assert ran.returncode == 0, ran.stderr
    done, report = merged(consumer, ".keras-validator/run")
    assert done.returncode == 3
    assert report["reasons"][0]["shard"] == "1/2"
    assert report["not_compared"] == ["tiny@head"]
    assert "shard 1/2 left no result" in done.stdout


def test_a_job_of_a_shard_hands_its_part_over_and_the_merging_job_its_report(consumer: Consumer) -> None:
    consumer.start({"requirements.txt": REQUIREMENTS, "README.md": "before"})
    tip = consumer.pull_request({"README.md": "after"})
    environ = consumer.actions("pull_request", consumer.pull_request_event(tip))
    ran = consumer.run("run", "--event", environ={**environ, "KERAS_VALIDATOR_SHARD": "1/1"})
    assert ran.returncode == 0, ran.stderr
    folder = consumer.folder / ".keras-validator" / "run"
    assert outputs(Path(environ["GITHUB_OUTPUT"])) == {"part": str(folder / "part-1-of-1.json")}
    assert not Path(environ["GITHUB_STEP_SUMMARY"]).exists()
    Path(environ["GITHUB_OUTPUT"]).unlink()
    done = consumer.run("merge", "--event", environ={**environ, "KERAS_VALIDATOR_PARTS": str(folder)})
    assert done.returncode == 0, done.stderr
    assert outputs(Path(environ["GITHUB_OUTPUT"]))["verdict"] == "pass"
    assert outputs(Path(environ["GITHUB_OUTPUT"]))["report"] == str(folder / "report.json")
    assert "nothing" in Path(environ["GITHUB_STEP_SUMMARY"]).read_text()


def test_a_refused_merge_is_a_report_about_the_commit_of_its_job(consumer: Consumer) -> None:
    consumer.start({"requirements.txt": REQUIREMENTS})
    tip = consumer.pull_request({"README.md": "after"})
    environ = consumer.actions("pull_request", consumer.pull_request_event(tip))
    (consumer.folder / "parts").mkdir()
    done = consumer.run("merge", "--event", "parts", environ=environ)
    assert done.returncode == 3
    assert "no shard left a part" in done.stderr
    report = json.loads((consumer.folder / ".keras-validator" / "run" / "report.json").read_text())
    assert (report["verdict"], report["commit"]) == ("inconclusive", tip)
    assert outputs(Path(environ["GITHUB_OUTPUT"]))["verdict"] == "inconclusive"


def test_a_wrong_shard_and_a_wrong_folder_are_wrong_use(consumer: Consumer) -> None:
    consumer.start({"requirements.txt": REQUIREMENTS})
    wrong = consumer.run("run", "--shard", "3/2")
    assert (wrong.returncode, "such as 1/3" in wrong.stderr) == (2, True)
    absent = consumer.run("merge", "nowhere")
    assert (absent.returncode, "no such folder" in absent.stderr) == (2, True)
