"""What `--with` moves: which lines of the project go, which give way, and which stay."""

from __future__ import annotations

import pytest

from validator.errors import ConfigurationError
from validator.matrix import AskedMoves, check_moves, moved_side, read_moves
from validator.matrix.requirements import keras_overrides, tensorflow_overrides
from validator.upgrade import Side

LOCKED = {"keras": "3.3.3", "tensorflow-cpu": "2.17.1", "numpy": "1.26.4"}


def moved(*asked: str, lines: tuple[str, ...], **more: tuple[str, ...]) -> Side:
    moves = read_moves(AskedMoves(asked))
    chosen = {move: move.pinned("9.9") for move in moves}
    return moved_side(Side(name="head", requirements=lines, **more), chosen, LOCKED)


def test_only_what_is_asked_for_has_another_version() -> None:
    side = moved(
        "keras==9.9",
        lines=("keras==3.3.3", "tensorflow-cpu[and-cuda]==2.17.1 ; python_version > '3'", "h5py>=3"),
    )
    assert side.requirements == (
        "keras==9.9",
        'tensorflow-cpu[and-cuda] ; python_version > "3"',  # its version is preferred, and no condition
        "h5py>=3",
    )


def test_ranges_that_a_lock_was_made_from_stay_conditions() -> None:
    side = moved(
        "keras",
        lines=("keras==3.3.3", "numpy==1.26.4"),
        ranges=("keras<3.4", "numpy[x]<2", "h5py", "./own", "rich==13.7"),
        constraints=("rich==13.7", "namex @ https://example.org/namex.whl", "keras!=3.5.0"),
    )
    assert side.constraints == ("namex @ https://example.org/namex.whl", "numpy<2")
    assert side.requirements == ("keras==9.9", "numpy")


@pytest.mark.parametrize(
    ("asked", "gone"),
    [
        ("keras-nightly", {"keras"}),
        ("tf_nightly", {"tensorflow-cpu"}),
        ("tf-nightly-cpu", {"tensorflow-cpu"}),
        ("keras", {"keras"}),
    ],
)
def test_a_nightly_build_takes_the_place_of_a_release(asked: str, gone: set[str]) -> None:
    side = moved(asked, lines=("keras==3.3.3", "tensorflow-cpu==2.17.1"))
    assert side.requirements[0] == f"{asked}==9.9"
    assert not gone & set(side.requirements[1:])
    assert len(side.requirements) == 2


def test_a_nightly_tensorflow_leaves_the_keras_that_came_with_the_release() -> None:
    assert moved("tf-nightly", lines=("tensorflow==2.17.1",)).requirements == ("tf-nightly==9.9", "keras")
    both = moved("tf-nightly", "keras-nightly", lines=("tensorflow==2.17.1",))
    assert both.requirements == ("tf-nightly==9.9", "keras-nightly==9.9")


@pytest.mark.parametrize(
    ("names", "unwanted"),
    [
        ({"keras", "tensorflow"}, {"keras-nightly"}),  # a release candidate of TensorFlow depends on it
        ({"keras-nightly", "tensorflow-cpu"}, {"keras", "tensorflow"}),
        ({"tf-nightly", "keras"}, {"tensorflow", "keras-nightly"}),
        ({"tf-nightly", "keras-nightly"}, {"tensorflow", "keras"}),
        ({"tf-keras-nightly", "tensorflow"}, {"tf-keras"}),
        ({"keras", "jax"}, set()),
        ({"tensorflow"}, set()),
    ],
)
def test_no_module_is_installed_twice(names: set[str], unwanted: set[str]) -> None:
    overrides = (*tensorflow_overrides(names), *keras_overrides(names))
    assert {line.partition(" ")[0] for line in overrides} == unwanted


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (("keras==",), "cannot be read"),
        (("",), "cannot be read"),
        (("keras==3.5.0; python_version > '3'",), "behind `;`"),
        (("keras", "keras-nightly"), "are for one package"),
        (("numpy", "NumPy<2"), "are for one package"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(asked: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read_moves(AskedMoves(asked))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("kerass", "the project does not install kerass"),
        ("tensorflow==2.18", "it has tensorflow-cpu, so name that"),
        ("tf-keras-nightly", "does not install tf-keras-nightly"),
    ],
)
def test_what_the_project_does_not_have_is_not_moved(asked: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        check_moves(read_moves(AskedMoves((asked,))), LOCKED)


def test_a_pre_release_alone_moves_keras() -> None:
    (move,) = read_moves(AskedMoves(prereleases=True))
    assert move.name == "keras"
