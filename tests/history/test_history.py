"""A history: what a run becomes, lines on disk, series by release and commit, and the rule for steps."""

from __future__ import annotations

import json
import multiprocessing
import threading
from pathlib import Path

import numpy as np
import pytest

from tests.history.runs import entry, fallen, write
from tests.report.examples import examples
from validator.errors import ConfigurationError
from validator.history import (
    DRIFT,
    append,
    by_commit,
    by_release,
    check_place,
    dump,
    entry_of,
    find_levels,
    read,
)
from validator.history.schema import PATH, schema
from validator.verdict.bands import DRIFT_STEP, METRIC_STEP, TIME_STEP


def test_the_schema_is_that_of_the_classes() -> None:
    assert PATH.read_text(encoding="utf-8") == schema()


def test_a_report_becomes_a_line_that_fits_the_schema() -> None:
    import jsonschema

    made = entry_of(examples(), "c" * 40)
    assert made is not None
    line = dump(made)
    assert line.endswith("\n")
    assert line.count("\n") == 1
    jsonschema.validate(json.loads(line), json.loads(schema()))
    cell = next(each for each in made.cells if each.verdict == "changed")
    assert cell.max_abs
    assert cell.keras.startswith("keras 3.5.0")
    assert any(each.metrics for each in made.cells)


def test_a_run_that_judged_nothing_has_no_line() -> None:
    assert entry_of(examples().model_copy(update={"models": ()})) is None


def test_what_is_appended_is_read_by_time(tmp_path: Path) -> None:
    path = write(tmp_path / "deep" / "history.jsonl", [entry(2, 0.9), entry(1, 0.8)])
    assert [each.cells[0].metrics["accuracy"].candidate for each in read(path).entries] == [0.8, 0.9]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"schema":1,"time"', "truncated"),
        ("no json\n", "no-json"),
        ('{"schema":1,"time":NaN}\n', "no-json"),
        ('{"schema": 2, "anything": 1}\n', "newer"),
        ('{"schema": true}\n', "other"),
        ("[1]\n", "other"),
        ('{"schema": 1, "time": "x", "verdict": "fine"}\n', "other"),
        ("\xff\n", "no-json"),
        ("[" * 100_000 + "\n", "no-json"),
    ],
)
def test_a_line_that_is_not_read_is_reported_and_stays(tmp_path: Path, text: str, why: str) -> None:
    path = write(tmp_path / "history.jsonl", [entry(0, 0.9)])
    before = path.read_bytes() + text.encode("latin-1")
    path.write_bytes(before)
    (skipped,) = read(path).skipped
    assert (skipped.line, skipped.why) == (2, why)
    append(path, entry(1, 0.8))
    assert path.read_bytes().startswith(before)
    history = read(path)
    assert len(history.entries) == 2  # the new line stands on a line of its own
    assert len(history.skipped) == 1


def test_fields_of_a_later_version_are_ignored_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    value = json.loads(dump(entry(0, 0.9)))
    value["cells"][0]["energy"] = 3
    path.write_text(json.dumps(value) + "\n")
    assert len(read(path).entries) == 1
    append(path, entry(1, 0.9))
    assert '"energy"' in path.read_text()


def test_a_line_that_is_twice_there_counts_once(tmp_path: Path) -> None:
    path = write(tmp_path / "history.jsonl", [entry(0, 0.9), entry(0, 0.9)])
    assert len(read(path).entries) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no such file"),
        ("", "it has no run yet"),
        ("\n\n", "it has no run yet"),
        ("x\n", "no line of it is a run of keras-validator; line 1: it is not JSON"),
        ('{"schema": 2}\n', "line 1: it is of schema 2, and this version reads 1"),
    ],
)
def test_a_file_without_a_run_is_refused(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "history.jsonl"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigurationError, match=message):
        read(path)


def test_a_place_that_is_no_file_is_refused_before_a_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place, message in ((tmp_path, "is not a file"), (tmp_path / "file" / "history.jsonl", "is a file")):
        with pytest.raises(ConfigurationError, match=message):
            check_place(place)
    check_place(tmp_path / "new" / "history.jsonl")


def _writer(path: Path, first: int) -> None:
    for night in range(first, first + 40):
        append(path, entry(night, 0.9, model="m" * 5000))


def test_writers_at_the_same_time_lose_no_line(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    context = multiprocessing.get_context("spawn")
    others = [context.Process(target=_writer, args=(path, 40 * number)) for number in range(3)]
    threads = [threading.Thread(target=_writer, args=(path, 40 * number)) for number in (3, 4)]
    for each in (*others, *threads):
        each.start()
    for each in (*others, *threads):
        each.join()
    history = read(path)
    assert (len(history.entries), history.skipped) == (200, ())


def test_a_full_disk_leaves_no_half_line(tmp_path: Path) -> None:
    import resource

    path = write(tmp_path / "history.jsonl", [entry(0, 0.9)])
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    import signal

    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 100, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            append(path, entry(1, 0.9))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == before


def series_of(entries: list, quantity: str, *, release: bool = False):  # type: ignore[no-untyped-def, type-arg]
    made = by_release(entries) if release else by_commit(entries)
    return next(each for each in made if each.quantity == quantity)


def test_a_step_names_the_commit_and_the_release() -> None:
    (step,) = series_of(fallen(), "accuracy").steps
    assert (step.before.value, step.since.value) == (0.91, 0.84)
    assert step.since.commit == "b" * 40
    assert step.packages == {"keras": ("3.9.0", "3.10.0")}


def test_releases_are_in_the_order_of_versions() -> None:
    releases = ("3.10.0", "3.9.0", "3.11.1", "3.3.3", "3.10.0rc1")
    series = series_of(
        [entry(at, 0.9, keras=each) for at, each in enumerate(releases)], "accuracy", release=True
    )
    assert [point.release for point in series.points] == [
        "keras 3.3.3",
        "keras 3.9.0",
        "keras 3.10.0rc1",
        "keras 3.10.0",
        "keras 3.11.1",
    ]


def test_of_a_release_the_latest_run_counts_and_the_baselines_own_numbers() -> None:
    series = series_of([entry(0, 0.5), entry(1, 0.9)], "accuracy", release=True)
    assert [(point.release, point.value) for point in series.points] == [
        ("keras 3.3.3", 0.91),
        ("keras 3.9.0", 0.9),
    ]


def test_models_of_one_name_in_two_configurations_are_apart() -> None:
    entries = [entry(0, 0.9), entry(1, 0.1, configuration="b/validator.yml")]
    made = [each for each in by_commit(entries) if each.quantity == "accuracy"]
    assert [each.subject.configuration for each in made] == ["validator.yml", "b/validator.yml"]


def test_drift_inside_the_band_of_rounding_is_no_step() -> None:
    entries = [entry(night, None, noise=0.01) for night in range(6)]
    entries += [entry(6 + night, None, noise=1.2) for night in range(6)]
    assert not series_of(entries, DRIFT).steps
    entries += [entry(12 + night, None, noise=9.0) for night in range(3)]
    assert len(series_of(entries, DRIFT).steps) == 1


@pytest.mark.parametrize(
    ("values", "steps", "pending"),
    [
        ([0.91] * 4 + [0.84] * 3, (4,), 0),
        ([0.91] * 4 + [0.84] * 2, (), 2),
        ([0.91] * 3 + [0.84] * 9, (), 0),  # a level of three says nothing yet
        ([0.91] * 4 + [0.84] + [0.91] * 4, (), 0),  # one odd run
        ([0.91] * 4 + [0.905] * 6, (), 0),  # less than 1 % of it
        ([0.91] * 5 + [0.84] * 5 + [0.95] * 5, (5, 10), 0),
        ([0.90, 0.92, 0.91, 0.90, 0.92, 0.88, 0.88, 0.88], (), 0),  # within its width of the range
        ([0.90, 0.92, 0.91, 0.90, 0.92, 0.86, 0.85, 0.87], (5,), 0),
        ([0.91] * 4 + [0.84, 0.98, 0.84], (), 0),  # not on one side
        ([], (), 0),
    ],
)
def test_the_rule_for_a_step(values: list[float], steps: tuple[int, ...], pending: int) -> None:
    levels = find_levels(values, METRIC_STEP)
    assert (levels.steps, levels.pending) == (steps, pending)


def test_noise_makes_next_to_no_step_and_a_fall_is_seen() -> None:
    generator = np.random.default_rng(7)
    alarms = {
        "normal": [generator.normal(0.9, 0.02, 100) for _ in range(300)],
        "one sample of fifty, rarely": [0.9 - generator.binomial(1, 0.1, 100) / 50 for _ in range(300)],
        "some samples of a hundred": [0.9 - generator.binomial(5, 0.5, 100) / 100 for _ in range(300)],
        "heavy tails": [0.9 + 0.01 * generator.standard_t(2, 100) for _ in range(300)],
    }
    for kind, series in alarms.items():
        share = sum(bool(find_levels(list(each), METRIC_STEP).steps) for each in series) / 300
        assert share <= 0.03, kind
    falls = [
        find_levels([*generator.normal(0.9, 0.005, 40), *generator.normal(0.8, 0.005, 20)], METRIC_STEP).steps
        for _ in range(200)
    ]
    assert sum(40 in each for each in falls) >= 190


def test_time_has_a_wider_band_than_drift_and_metrics() -> None:
    seconds = [12.0, 12.5, 11.8, 12.2, 14.0, 14.2, 14.1]
    assert not find_levels(seconds, TIME_STEP).steps
    assert find_levels([*seconds[:4], 30.0, 31.0, 29.0], TIME_STEP).steps == (4,)
    assert find_levels([1.25] * 4 + [3.0] * 3, DRIFT_STEP).steps == (4,)
