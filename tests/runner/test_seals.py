"""Which files of a capture are sealed, and which links make it none."""

from __future__ import annotations

from pathlib import Path

import pytest

from validator.failure import Failure
from validator.runner import Capture, intact
from validator.runner.captures import Response
from validator.runner.seals import sealed

ROOM = 1 << 20


@pytest.fixture
def capture(tmp_path: Path) -> Capture:
    """As a worker leaves it for a model that is loaded from a file: with a link to the file."""
    model = tmp_path / "model.keras"
    model.write_bytes(b"zip")
    folder = tmp_path / "digits"
    for name in ("outputs", "artifact", "+noise"):
        (folder / name).mkdir(parents=True)
    (folder / "outputs" / "0.npy").write_bytes(b"numbers")
    (folder / "response.json").write_text("{}")
    (folder / "artifact" / "model.keras").symlink_to(model)
    return Capture(folder.resolve(), Response(id="digits@head", schema=1, failure=None))


def test_the_workers_link_to_the_model_is_no_part_of_a_result(capture: Capture) -> None:
    result = sealed(capture, ROOM)
    assert isinstance(result, Capture), result
    assert set(result.seal or ()) == {"outputs/0.npy", "response.json"}
    assert intact(result) is result


@pytest.mark.parametrize("name", ["outputs/1.npy", "structure", "response.json"])
def test_a_link_among_the_results_is_refused(capture: Capture, name: str) -> None:
    place = capture.folder / name
    place.unlink(missing_ok=True)
    place.symlink_to(capture.folder / "outputs" / "0.npy")
    result = sealed(capture, ROOM)
    assert isinstance(result, Failure)
    assert f"{name} is a link" in result.message


def test_a_file_that_changed_since_is_named(capture: Capture) -> None:
    result = sealed(capture, ROOM)
    assert isinstance(result, Capture)
    (capture.folder / "outputs" / "0.npy").write_bytes(b"other numbers")
    changed = intact(result)
    assert isinstance(changed, Failure)
    assert (changed.stage, "outputs/0.npy" in changed.message) == ("tampered", True)
