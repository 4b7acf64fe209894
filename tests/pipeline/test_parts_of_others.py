"""Parts come from other machines: what no shard writes is refused in a sentence, and nothing is followed."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.verdict.test_parts import FIRST, SECOND, THIRD
from validator.errors import CannotJudgeError, ConfigurationError, Exit
from validator.pipeline.parts import MergeRequest, read_part, run_merge
from validator.verdict.parts import Part


def write(folder: Path, *parts: Part) -> Path:
    for part in parts:
        own = folder / f"keras-part-{part.shard}"
        own.mkdir(parents=True, exist_ok=True)
        (own / f"part-{part.shard}-of-{len(part.shards)}.json").write_text(
            part.model_dump_json(by_alias=True)
        )
    return folder


def _linked(path: Path) -> None:
    path.rename(path.parent.parent / "elsewhere")
    path.symlink_to(path.parent.parent / "elsewhere")


def _piped(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _edited(change: Callable[[str], str]) -> Callable[[Path], None]:
    return lambda path: path.write_text(change(path.read_text())) and None


HOSTILE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "truncated": (_edited(lambda text: text[: len(text) // 2]), "no JSON"),
    "empty": (_edited(lambda _: ""), "no JSON"),
    "a pickle": (
        lambda path: path.write_bytes(b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00cos\nsystem\n."),
        "not UTF-8",
    ),
    "too large": (lambda path: path.open("ab").truncate((32 << 20) + 1), "larger than"),
    "a key twice": (
        _edited(lambda text: text.replace('{"schema"', '{"shard":1,"schema"', 1)),
        "'shard' twice",
    ),
    "an unknown key": (_edited(lambda text: text.replace('{"schema"', '{"more":1,"schema"', 1)), "schema"),
    "nested": (_edited(lambda _: "[" * 100_000), "deep"),
    "of another shard": (
        _edited(lambda text: text.replace('"shard":2', '"shard":3', 1)),
        "it is about shard 3/3",
    ),
    "a number out of range": (
        _edited(lambda text: text.replace('"seconds":9.0', '"seconds":1e999')),
        "out of range",
    ),
    "a link": (_linked, "symbolic link"),
    "a pipe": (_piped, "not a regular file"),
    "no numbers": (
        _edited(
            lambda text: re.sub(r'"comparison":\{"name":"y".*?"worst":null\}', '"comparison":null', text)
        ),
        "its numbers contradict each other",
    ),
    "a forged verdict": (
        _edited(lambda text: text.replace('"verdict":"rounding"', '"verdict":"identical"', 1)),
        "not that of its findings",
    ),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_broken_or_forged_part_is_refused_in_a_sentence(tmp_path: Path, kind: str) -> None:
    parts = write(tmp_path / "parts", FIRST, SECOND, THIRD)
    change, words = HOSTILE[kind]
    change(parts / "keras-part-2" / "part-2-of-3.json")
    with pytest.raises(CannotJudgeError) as refused:
        run_merge(MergeRequest((parts,), tmp_path / "run"))
    assert words in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["verdict"] == "inconclusive"
    assert [reason["kind"] for reason in report["reasons"]] == ["error"]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write(tmp_path, FIRST)
    assert read_part(tmp_path / "keras-part-1" / "part-1-of-3.json") == FIRST


def test_parts_lie_in_a_folder_for_each_artifact_or_beside_each_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = write(tmp_path / "parts", FIRST, SECOND, THIRD)
    (parts / "notes.json").write_text("{}")
    assert run_merge(MergeRequest((parts,), tmp_path / "run")) is Exit.OK
    assert "a@k6" not in capsys.readouterr().out
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    cells = {cell["cell"] for model in report["models"] for cell in model["cells"]}
    assert cells == {"a@k5", "b@k5", "a@k6", "b@k6"}
    assert {"report.md", "report.html", "junit.xml"} <= {path.name for path in (tmp_path / "run").iterdir()}
    for path in list(parts.glob("*/part-*.json")):
        path.rename(parts / path.name)
    assert run_merge(MergeRequest((parts,), tmp_path / "run")) is Exit.OK


def test_folders_may_be_named_one_by_one(tmp_path: Path) -> None:
    parts = write(tmp_path / "parts", FIRST, SECOND, THIRD)
    assert run_merge(MergeRequest(tuple(sorted(parts.iterdir())), tmp_path / "run")) is Exit.OK


def test_a_linked_folder_is_not_followed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "elsewhere", SECOND)
    parts = write(tmp_path / "parts", FIRST, THIRD)
    (parts / "keras-part-2").symlink_to(tmp_path / "elsewhere" / "keras-part-2")
    assert run_merge(MergeRequest((parts,), tmp_path / "run")) is Exit.CANNOT_JUDGE
    assert "shard 2/3 left no result" in capsys.readouterr().out
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert [reason["shard"] for reason in report["reasons"]] == ["2/3"]
    assert report["not_compared"] == ["a@k6"]


def test_a_part_of_another_commit_is_wrong_use(tmp_path: Path) -> None:
    other = SECOND.model_copy(update={"report": SECOND.report.model_copy(update={"commit": "d" * 40})})
    parts = write(tmp_path / "parts", FIRST, other)
    with pytest.raises(ConfigurationError, match="the commit of shard 2/3 is not that of shard 1/3"):
        run_merge(MergeRequest((parts,), tmp_path / "run"))


def test_more_parts_than_a_run_has_shards_are_refused(tmp_path: Path) -> None:
    for number in range(1, 258):
        (tmp_path / f"part-1-of-{number}.json").write_text("{}")
    with pytest.raises(ConfigurationError, match="256 shards at most"):
        run_merge(MergeRequest((tmp_path,), tmp_path / "run"))
