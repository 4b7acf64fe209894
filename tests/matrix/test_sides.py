"""The environments `base` and `head` of a pull request, from what was read on both sides."""

from __future__ import annotations

from typing import Any

import pytest

from validator.config.load import parse
from validator.config.settings import Install
from validator.matrix import environments, install_of
from validator.upgrade import Detected, Index, Revisions, Side, Upgrade

SETTINGS = "version: 1\nmodels: [{name: tiny, artifact: tiny.keras, inputs: inputs.npz}]\n"


def side(name: str, *lines: str, **more: Any) -> Side:
    return Side(name=name, requirements=lines, **more)  # type: ignore[arg-type]


def detected(base: Side, head: Side) -> Detected:
    upgrade = Upgrade(changes=(), relevant=True)
    revisions = Revisions(base="0" * 40, head="1" * 40, tip="1" * 40)
    return Detected(upgrade=upgrade, base=base, head=head, revisions=revisions)


def pair_of(more: str, base: Side, head: Side) -> Any:
    pair = environments(parse(SETTINGS + more, "validator.yml"), detected(base, head))
    assert pair is not None
    return pair


def test_common_requirements_fill_in_what_a_side_leaves_open() -> None:
    more = "requirements: [tensorflow-cpu==2.17.1, numpy==1.26.4, six]\n"
    base, head = pair_of(
        more, side("base", "keras==3.3.3"), side("head", "keras==3.5.0", "tensorflow==2.18.0", "numpy<2")
    )
    assert base.requirements == ("keras==3.3.3", "tensorflow-cpu==2.17.1", "numpy==1.26.4", "six")
    never = "; sys_platform == 'never'"
    assert base.overrides == (f"tensorflow {never}", f"keras-nightly {never}")
    assert head.requirements == ("keras==3.5.0", "tensorflow==2.18.0", "numpy<2", "six")
    assert head.overrides == (f"keras-nightly {never}",)


def test_a_requirements_file_of_the_settings_is_not_added_to_the_other_side() -> None:
    base, _ = pair_of("requirements: requirements.txt\n", side("base", "keras"), side("head", "keras"))
    assert base.requirements == ("keras",)


def test_an_environment_of_the_settings_has_the_last_word() -> None:
    more = (
        'environments: {base: {requirements: ["keras==3.4.0", h5py], python: "3.10", '
        'variables: {TF_USE_LEGACY_KERAS: "1"}}}\n'
    )
    base, head = pair_of(more, side("base", "keras==3.3.3", python="3.12"), side("head", "keras==3.5.0"))
    assert base.requirements == ("keras==3.4.0", "h5py")
    assert (base.python, base.legacy) == ("3.10", True)
    assert (head.python, head.legacy) == ("3.11", False)


@pytest.mark.parametrize(
    ("lines", "backend"),
    [
        (["keras", "jax"], "jax"),
        (["keras", "torch>=2"], "torch"),
        (["keras", "torch", "tensorflow-cpu"], "tensorflow"),
        (["keras"], "tensorflow"),
    ],
)
def test_the_backend_is_the_one_that_is_installed(lines: list[str], backend: str) -> None:
    base, _ = pair_of("", side("base", *lines), side("head", "keras"))
    assert base.backend == backend
    assert dict(base.variables)["KERAS_BACKEND"] == backend


def test_what_ranges_resolved_to_is_what_is_installed() -> None:
    base, _ = pair_of(
        "",
        side("base", "keras>=3", constraints=("numpy<2",), resolved={"keras": "3.3.3", "numpy": "1.26.4"}),
        side("head", "keras>=3.4"),
    )
    assert base.constraints == ("numpy<2", "keras==3.3.3", "numpy==1.26.4")


def test_what_ranges_resolved_to_does_not_bind_what_the_settings_add() -> None:
    ranges = side("base", "keras>=3", resolved={"keras": "3.3.3", "ml-dtypes": "0.5.4"})
    base, _ = pair_of("requirements: [tensorflow-cpu==2.17.1]\n", ranges, side("head", "keras"))
    assert base.requirements == ("keras>=3", "tensorflow-cpu==2.17.1")
    assert base.constraints == ()


def test_a_side_is_installed_from_the_indexes_it_names() -> None:
    instant = "2026-01-01T00:00:00Z"
    plain = install_of(Install(), side("base", "keras"), instant)
    assert plain == Install(exclude_newer=instant)
    index = Index(
        index_url="https://a.example/simple",
        extra_index_urls=("https://b.example/simple",),
        find_links=("wheels", "https://c.example/"),
        prereleases=True,
    )
    own = Install(index_url="https://mine.example/simple", exclude_newer="2025-01-01")
    merged = install_of(own, side("base", "keras", index=index), instant)
    assert merged.index_url == "https://mine.example/simple"
    assert merged.extra_index_urls == ("https://b.example/simple",)
    assert merged.find_links == ("https://c.example/",)
    assert merged.prereleases
    assert merged.exclude_newer == "2025-01-01"
    assert install_of(Install(), side("base", "keras", index=index), instant).exclude_newer is None


def test_without_a_framework_on_either_side_there_is_no_pair() -> None:
    settings = parse(SETTINGS, "validator.yml")
    assert environments(settings, detected(side("base", "numpy"), side("head", "numpy>=2"))) is None
