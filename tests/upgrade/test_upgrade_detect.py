"""From an event to the upgrade, in real repositories."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.upgrade import samples
from tests.upgrade.conftest import Files, Repo
from validator.environments import Uv, UvInstaller
from validator.errors import ConfigurationError
from validator.failure import Failure
from validator.upgrade import Detected, Options, PackageChange, Requirements, Trigger
from validator.upgrade import detect as detect_with
from validator.upgrade.types import (
    Installer,
    IrrelevantReason,
    NoFrameworkReason,
    PackageReason,
    PythonReason,
    UnresolvedReason,
)

PULL_REQUEST = Trigger(event="pull_request", ref="topic")
INSTANT = "2026-01-01T00:00:00Z"
UV = UvInstaller(Uv.bundled(os.environ))


def detect(folder: Path, trigger: Trigger, options: Options, installer: Installer = UV) -> Detected:
    return detect_with(folder, trigger, options, installer)


class Index:
    """A resolver that knows some releases, newest last, and what each brings along."""

    def __init__(
        self, releases: Mapping[str, tuple[str, ...]], brings: Mapping[str, tuple[str, ...]] | None = None
    ) -> None:
        self.releases = releases
        self.brings = brings or {}
        self.asked: list[tuple[Requirements, str]] = []

    def export(
        self, project: Mapping[str, str], extras: tuple[str, ...], groups: tuple[str, ...]
    ) -> str | Failure:
        raise AssertionError("no uv.lock is exported here")

    def resolve(self, requirements: Requirements, exclude_newer: str) -> Mapping[str, str] | Failure:
        from packaging.requirements import Requirement
        from packaging.specifiers import SpecifierSet

        self.asked.append((requirements, exclude_newer))
        limits = {each.name: each.specifier for each in map(Requirement, requirements.constraints)}
        found: dict[str, str] = {}
        waiting = [Requirement(text) for text in requirements.requirements]
        while waiting:
            requirement = waiting.pop(0)
            specifier = requirement.specifier & limits.get(requirement.name, SpecifierSet())
            fitting = [version for version in self.releases.get(requirement.name, ()) if version in specifier]
            if not fitting:
                return Failure(stage="resolve", error="uv", message=f"there is no version of {requirement}")
            if requirement.name not in found:
                found[requirement.name] = fitting[-1]
                waiting += map(Requirement, self.brings.get(f"{requirement.name}=={fitting[-1]}", ()))
        return found


def pull(
    repo: Repo, base: Files, head: Files, options: Options | None = None, installer: Installer = UV
) -> Detected:
    repo.commit(base)
    repo.pull_request(head)
    return detect(repo.folder, PULL_REQUEST, options or Options(), installer)


@pytest.mark.parametrize("name", samples.PROJECTS)
def test_keras_3_3_3_to_3_5_0_is_found_in_every_manifest_on_its_changed_line(repo: Repo, name: str) -> None:
    base, head = samples.project(name, "3.3.3"), samples.project(name, "3.5.0")

    found = pull(repo, base, head)

    manifest = next(iter(head))
    (change,) = found.upgrade.changes
    assert (change.name, change.old, change.new, change.direct) == ("keras", "3.3.3", "3.5.0", True)
    assert change.manifest == manifest
    text = head[manifest]
    assert isinstance(text, str)
    assert change.line is not None
    assert "3.5.0" in text.split("\n")[change.line - 1]
    assert found.upgrade.relevant
    assert found.upgrade.reasons == (
        PackageReason(name="keras", old="3.3.3", new="3.5.0", manifest=manifest),
    )
    for side, version in ((found.base, "3.3.3"), (found.head, "3.5.0")):
        texts = " ".join((*side.requirements, *side.constraints))
        assert "keras" in texts
        assert version in texts
        assert ("3.5.0" in texts) == (version == "3.5.0")


def test_a_lock_gives_versions_and_movers_and_its_manifest_says_what_is_direct(repo: Repo) -> None:
    manifest = {"pyproject.toml": samples.pyproject("3.3.3")}

    found = pull(
        repo,
        {**manifest, "uv.lock": samples.uv_lock("3.3.3")},
        {"pyproject.toml": samples.pyproject("3.5.0"), "uv.lock": samples.uv_lock("3.5.0", numpy="2.0.2")},
    )

    keras, numpy = found.upgrade.changes
    assert (keras.manifest, keras.line, keras.direct) == ("pyproject.toml", 6, True)
    assert (numpy.old, numpy.new, numpy.manifest, numpy.direct) == ("1.26.4", "2.0.2", "uv.lock", False)


def test_a_lock_that_moves_alone_is_read_with_its_untouched_manifest(repo: Repo) -> None:
    manifest = {"pyproject.toml": '[project]\nname = "demo"\nversion = "0"\ndependencies = ["six"]\n'}

    found = pull(
        repo, {**manifest, "uv.lock": samples.uv_lock("3.3.3")}, {"uv.lock": samples.uv_lock("3.5.0")}
    )

    (change,) = found.upgrade.changes
    assert (change.name, change.direct, change.manifest) == ("keras", False, "uv.lock")


def test_a_lock_added_beside_an_untouched_manifest_is_compared_with_what_the_manifest_said(
    repo: Repo,
) -> None:
    found = pull(repo, {"pyproject.toml": samples.pyproject("3.3.3")}, {"uv.lock": samples.uv_lock("3.5.0")})

    changes = {change.name: (change.old, change.new) for change in found.upgrade.changes}
    assert changes["keras"] == ("3.3.3", "3.5.0")


def test_environments_are_built_for_the_python_and_the_platform_at_hand(repo: Repo) -> None:
    repo.commit({"uv.lock": samples.uv_lock("3.3.3")})
    repo.pull_request({"uv.lock": samples.uv_lock("3.5.0")})

    old = detect(repo.folder, PULL_REQUEST, Options(python="3.10"))
    new = detect(repo.folder, PULL_REQUEST, Options(python="3.11"))

    assert old.head.requirements == ("keras==3.5.0", 'numpy==1.24.4; python_full_version < "3.11"')
    assert new.head.requirements == ("keras==3.5.0", 'numpy==1.26.4; python_full_version >= "3.11"')
    assert (new.base.name, new.base.python) == ("base", "3.11")
    assert new.revisions.head == repo.git("rev-parse", "HEAD")


def test_extras_and_groups_are_those_asked_for_or_those_with_a_framework(repo: Repo) -> None:
    lock = samples.uv_lock("3.3.3").replace(
        '{ name = "iniconfig" },', '{ name = "keras" },\n    { name = "iniconfig" },'
    )
    repo.commit({"uv.lock": lock})
    repo.pull_request({"uv.lock": lock.replace("3.3.3", "3.5.0")})

    def names(**wanted: tuple[str, ...]) -> set[str]:
        found = detect(repo.folder, PULL_REQUEST, Options(python="3.11", **wanted))
        return {text.split("==")[0] for text in found.head.requirements}

    assert names() == {
        "keras",
        "numpy",
    }  # the project names keras itself, so its developers' group adds nothing
    assert names(groups=("dev",)) == {"keras", "numpy", "iniconfig"}
    assert names(groups=(), extras=("serve",)) == {"keras", "numpy", "six"}


def test_a_group_of_a_pylock_is_answered_here_and_not_left_to_the_installer(repo: Repo) -> None:
    repo.commit(
        {
            "pylock.toml": samples.pylock("3.3.3"),
            "pyproject.toml": '[dependency-groups]\ndev = ["iniconfig"]\n',
        }
    )
    repo.pull_request({"pylock.toml": samples.pylock("3.5.0")})

    plain = detect(repo.folder, PULL_REQUEST, Options(python="3.11"))
    with_dev = detect(repo.folder, PULL_REQUEST, Options(python="3.11", groups=("dev",)))

    assert plain.head.requirements == ("keras==3.5.0", 'numpy==1.26.4 ; python_full_version >= "3.11"')
    assert plain.head.index.extra_index_urls == ("https://packages.example.org/simple",)
    assert with_dev.head.requirements[-1] == "iniconfig==2.0.0"


def test_ranges_are_resolved_at_one_instant_and_bring_what_moves_along(repo: Repo) -> None:
    index = Index(
        {"keras": ("3.3.3", "3.5.0"), "numpy": ("1.26.4", "2.0.2"), "six": ("1.0",)},
        {"keras==3.3.3": ("numpy<2",), "keras==3.5.0": ("numpy",)},
    )

    found = pull(
        repo,
        {"requirements.txt": "--extra-index-url https://u:p@packages.example.org/simple\nkeras<3.5\nsix\n"},
        {"requirements.txt": "--extra-index-url https://u:p@packages.example.org/simple\nkeras>=3.5\nsix\n"},
        Options(exclude_newer=INSTANT),
        index,
    )

    assert [
        (change.name, change.old, change.new, change.direct, change.line) for change in found.upgrade.changes
    ] == [
        ("keras", "3.3.3", "3.5.0", True, 2),
        ("numpy", "1.26.4", "2.0.2", False, None),
    ]
    assert [instant for _, instant in index.asked] == [INSTANT, INSTANT]
    assert index.asked[0][0].index.extra_index_urls == ("https://u:p@packages.example.org/simple",)
    assert found.base.resolved == {"keras": "3.3.3", "numpy": "1.26.4", "six": "1.0"}


def test_a_range_that_moves_no_version_is_told_and_nothing_runs(repo: Repo) -> None:
    index = Index({"keras": ("3.3.3", "3.5.0")})

    found = pull(
        repo,
        {"requirements.txt": "keras>=3.3\n"},
        {"requirements.txt": "keras>=3.4\n"},
        Options(exclude_newer=INSTANT),
        index,
    )

    assert found.upgrade.changes == (
        PackageChange(
            name="keras", old=">=3.3", new=">=3.4", direct=True, manifest="requirements.txt", line=1
        ),
    )
    assert not found.upgrade.relevant
    assert found.upgrade.reasons == (IrrelevantReason(ranges=1),)


def test_a_side_that_cannot_be_resolved_is_a_failure_in_the_resolvers_words(repo: Repo) -> None:
    found = pull(
        repo,
        {"requirements.txt": "keras>=3.3\n"},
        {"requirements.txt": "keras>=9\n"},
        Options(exclude_newer=INSTANT),
        Index({"keras": ("3.3.3",)}),
    )

    assert found.base.failure is None
    assert found.head.failure is not None
    assert found.head.failure.message == "there is no version of keras>=9"
    assert [(change.old, change.new) for change in found.upgrade.changes] == [(">=3.3", ">=9")]
    assert UnresolvedReason(side="head", failure=found.head.failure) in found.upgrade.reasons


def test_without_a_resolver_a_changed_range_counts_as_a_move(repo: Repo) -> None:
    found = pull(repo, {"requirements.txt": "keras>=3.3\n"}, {"requirements.txt": "keras>=3.5\n"})

    assert found.upgrade.relevant
    assert found.upgrade.reasons == (
        PackageReason(name="keras", old=">=3.3", new=">=3.5", manifest="requirements.txt"),
    )


def test_nothing_is_resolved_where_nothing_was_rewritten(repo: Repo) -> None:
    index = Index({})

    found = pull(
        repo,
        {"requirements.txt": "keras>=3.3\n"},
        {"requirements.txt": "# a comment\nkeras>=3.3\n"},
        Options(exclude_newer=INSTANT),
        index,
    )

    assert found.upgrade.changes == ()
    assert not found.upgrade.relevant
    assert index.asked == []


def test_other_packages_move_and_nothing_runs(repo: Repo) -> None:
    found = pull(
        repo,
        {"requirements.txt": "keras==3.5.0\n", "requirements-dev.txt": "pytest==8.0\nruff==0.1\n"},
        {"requirements-dev.txt": "pytest==8.1\nruff==0.1\n"},
    )

    assert found.upgrade.changes == ()  # a developer's file beside the project's own
    assert found.upgrade.reasons == (IrrelevantReason(),)
    assert found.head.requirements == ("keras==3.5.0",)


def test_a_change_of_code_only(repo: Repo) -> None:
    found = pull(repo, {"requirements.txt": "keras==3.5.0\n", "train.py": "1"}, {"train.py": "2"})

    assert found.upgrade.changes == ()
    assert found.upgrade.reasons == (IrrelevantReason(),)
    assert found.base.requirements == found.head.requirements == ("keras==3.5.0",)


def names(found: Detected) -> list[str]:
    return [reason.name for reason in found.upgrade.reasons if reason.kind == "package"]


def test_packages_of_the_configuration_are_relevant(repo: Repo) -> None:
    repo.commit({"requirements.txt": "keras==3.5.0\nacme-layers==1.0\nacme-util==1.0\n"})
    repo.pull_request({"requirements.txt": "keras==3.5.0\nacme-layers==1.1\nacme-util==1.1\n"})

    assert not detect(repo.folder, PULL_REQUEST, Options()).upgrade.relevant
    by_name = detect(repo.folder, PULL_REQUEST, Options(relevant=("acme-layers",)))
    by_prefix = detect(repo.folder, PULL_REQUEST, Options(relevant=("acme-*",)))
    assert names(by_name) == ["acme-layers"]
    assert names(by_prefix) == ["acme-layers", "acme-util"]


@pytest.mark.parametrize(
    ("name", "old", "new", "reason"),
    [
        (
            ".python-version",
            "3.10\n",
            "3.11.7\n",
            PythonReason(old="3.10", new="3.11.7", manifest=".python-version"),
        ),
        (
            "pyproject.toml",
            '[project]\nname = "d"\nversion = "0"\nrequires-python = ">=3.9"\n',
            '[project]\nname = "d"\nversion = "0"\nrequires-python = ">=3.10"\n',
            PythonReason(old=">=3.9", new=">=3.10", manifest="pyproject.toml"),
        ),
        (
            "environment.yml",
            "dependencies: [python=3.10]\n",
            "dependencies: [python=3.11]\n",
            PythonReason(old="3.10", new="3.11", manifest="environment.yml"),
        ),
    ],
)
def test_another_python_is_a_reason(repo: Repo, name: str, old: str, new: str, reason: PythonReason) -> None:
    found = pull(repo, {name: old, "requirements.txt": "keras==3.5.0\n"}, {name: new})

    assert found.upgrade.relevant
    assert found.upgrade.changes == ()
    assert found.upgrade.reasons == (reason,)


def test_the_python_of_each_side_is_the_one_its_manifests_name(repo: Repo) -> None:
    found = pull(
        repo,
        {".python-version": "3.10\n", "requirements.txt": "keras==3.5.0\n"},
        {".python-version": "3.11\n"},
    )

    assert (found.base.python, found.head.python) == ("3.10", "3.11")


def test_a_renamed_manifest_is_one_manifest(repo: Repo) -> None:
    lines = "".join(f"package-{number}==1.0\n" for number in range(20))
    repo.commit({"requirements.txt": f"{lines}keras==3.3.3\n"})
    found = pull(
        repo, {"a": "1"}, {"requirements.txt": None, "deploy/requirements-prod.txt": f"{lines}keras==3.5.0\n"}
    )

    (change,) = found.upgrade.changes
    assert (change.name, change.old, change.new) == ("keras", "3.3.3", "3.5.0")
    assert (change.manifest, change.line) == ("deploy/requirements-prod.txt", 21)


def test_a_deleted_manifest_takes_its_packages_along(repo: Repo) -> None:
    found = pull(repo, {"requirements.txt": "keras==3.3.3\n"}, {"requirements.txt": None})

    assert found.upgrade.changes == (
        PackageChange(
            name="keras", old="3.3.3", new=None, direct=True, manifest="requirements.txt", line=None
        ),
    )
    assert found.upgrade.reasons == (
        NoFrameworkReason(side="head", path=None),
        PackageReason(name="keras", old="3.3.3", new=None, manifest="requirements.txt"),
    )
    assert found.head.requirements == ()


def test_an_added_manifest_brings_its_packages(repo: Repo) -> None:
    found = pull(repo, {"a": "1"}, {"requirements.txt": "keras==3.5.0\n"})

    (change,) = found.upgrade.changes
    assert (change.old, change.new, change.line) == (None, "3.5.0", 1)
    assert found.base.requirements == ()


def test_several_versions_of_one_name_are_paired_by_their_order(repo: Repo) -> None:
    found = pull(
        repo,
        {"requirements.txt": 'numpy==1.24.4 ; python_version<"3.9"\nnumpy==1.26.4 ; python_version>="3.9"\n'},
        {"requirements.txt": 'numpy==1.24.4 ; python_version<"3.9"\nnumpy==2.0.2 ; python_version>="3.9"\n'},
    )

    (change,) = found.upgrade.changes
    assert (change.old, change.new, change.line) == ("1.26.4", "2.0.2", 2)


def test_only_a_marker_changed(repo: Repo) -> None:
    found = pull(
        repo,
        {"requirements.txt": 'keras>=3 ; python_version<"3.9"\n'},
        {"requirements.txt": 'keras>=3 ; python_version<"3.12"\n'},
    )

    (change,) = found.upgrade.changes
    assert (change.old, change.new) == (
        'keras>=3; python_version < "3.9"',
        'keras>=3; python_version < "3.12"',
    )
    assert found.upgrade.relevant


@pytest.mark.parametrize(
    ("old", "new", "was", "now"),
    [
        (
            "keras @ git+https://github.com/keras-team/keras@v3.3.3",
            "keras @ git+https://user:secret@github.com/keras-team/keras@v3.5.0",
            "git+https://github.com/keras-team/keras@v3.3.3",
            "git+https://***@github.com/keras-team/keras@v3.5.0",
        ),
        (
            "keras @ file:///wheels/keras-3.3.3-py3-none-any.whl",
            "keras @ file:///wheels/keras-3.5.0-py3-none-any.whl",
            "file:///wheels/keras-3.3.3-py3-none-any.whl",
            "file:///wheels/keras-3.5.0-py3-none-any.whl",
        ),
        (
            "-e git+ssh://git@github.com/keras-team/keras.git@v3.3.3#egg=keras",
            "-e git+ssh://git@github.com/keras-team/keras.git@v3.5.0#egg=keras",
            "-e git+ssh://git@github.com/keras-team/keras.git@v3.3.3#egg=keras",
            "-e git+ssh://git@github.com/keras-team/keras.git@v3.5.0#egg=keras",
        ),
        (
            "keras==3.3.3",
            "keras @ https://example.org/keras.zip",
            "3.3.3",
            "https://example.org/keras.zip",
        ),
    ],
)
def test_direct_references_are_compared_by_their_text_and_kept_as_they_are(
    repo: Repo, old: str, new: str, was: str, now: str
) -> None:
    found = pull(repo, {"requirements.txt": f"{old}\n"}, {"requirements.txt": f"{new}\n"})

    (change,) = found.upgrade.changes
    assert (change.name, change.old, change.new) == ("keras", was, now)
    assert found.head.requirements == (new,)
    assert found.upgrade.relevant


def test_a_folder_of_the_repository_is_the_project_itself_and_not_a_package(repo: Repo) -> None:
    found = pull(
        repo,
        {"requirements.txt": "-e .\n./layers\nkeras==3.3.3\n"},
        {"requirements.txt": "-e .\n./layers\nkeras==3.5.0\n"},
    )

    assert found.head.requirements == ("keras==3.5.0",)


def test_of_two_projects_the_one_beside_the_configuration_decides(repo: Repo) -> None:
    found = pull(
        repo,
        {"a/requirements.txt": "keras==3.3.3\n", "b/requirements.txt": "keras==3.4.0\n"},
        {"a/requirements.txt": "keras==3.5.0\n", "b/requirements.txt": "keras==3.5.0\n"},
        Options(configuration="b/validator.yml"),
    )

    assert [(change.manifest, change.old) for change in found.upgrade.changes] == [
        ("b/requirements.txt", "3.4.0")
    ]
    assert found.base.requirements == ("keras==3.4.0",)


def test_listed_manifests_are_the_only_ones_read(repo: Repo) -> None:
    repo.commit({"deps/prod.txt": "keras==3.3.3\n", "requirements.txt": "keras==2.0\n"})
    repo.pull_request({"deps/prod.txt": "keras==3.5.0\n", "requirements.txt": "not a requirement ]["})

    found = detect(repo.folder, PULL_REQUEST, Options(manifests=("deps/prod.txt",)))

    assert [change.manifest for change in found.upgrade.changes] == ["deps/prod.txt"]
    assert found.base.requirements == ("keras==3.3.3",)


@pytest.mark.parametrize(
    ("listed", "words"),
    [
        ("missing.txt", "exists neither at the base nor at the head"),
        ("../requirements.txt", "outside the repository"),
        ("/etc/passwd", "is no manifest|outside the repository"),
        ("setup.py", "is no manifest that can be read"),
    ],
)
def test_a_listed_manifest_that_cannot_be_read(repo: Repo, listed: str, words: str) -> None:
    repo.commit({"requirements.txt": "keras==3.3.3\n", "setup.py": ""})
    repo.pull_request({"requirements.txt": "keras==3.5.0\n"})

    with pytest.raises(ConfigurationError, match=words):
        detect(repo.folder, PULL_REQUEST, Options(manifests=(listed,)))


def test_a_manifest_in_a_submodule_is_another_repositorys(repo: Repo, tmp_path: Path) -> None:
    other = Repo(tmp_path / "other")
    other.git("init", "--quiet", "-b", "main")
    other.commit({"requirements.txt": "keras==3.3.3\n"})
    repo.commit({"requirements.txt": "keras==3.3.3\n"})
    repo.git("submodule", "--quiet", "add", f"file://{other.folder}", "vendor")
    repo.commit({})
    repo.pull_request({"requirements.txt": "keras==3.5.0\n"})

    assert [c.manifest for c in detect(repo.folder, PULL_REQUEST, Options()).upgrade.changes] == [
        "requirements.txt"
    ]
    with pytest.raises(ConfigurationError, match="lies in the submodule vendor"):
        detect(repo.folder, PULL_REQUEST, Options(manifests=("vendor/requirements.txt",)))


def test_a_broken_manifest_is_named_with_path_side_and_line(repo: Repo) -> None:
    repo.commit({"requirements.txt": "keras==3.3.3\n"})
    repo.pull_request({"requirements.txt": "numpy\nkeras=3.5.0\n"})

    with pytest.raises(ConfigurationError, match=r"^requirements\.txt@head:2 is not a requirement"):
        detect(repo.folder, PULL_REQUEST, Options())


def test_a_broken_manifest_that_nobody_touched_stops_nothing(repo: Repo) -> None:
    found = pull(
        repo,
        {"requirements.txt": "keras==3.3.3\n", "docs/requirements.txt": "-r missing.txt\n", "x/uv.lock": "["},
        {"requirements.txt": "keras==3.5.0\n"},
    )

    assert found.upgrade.relevant


DEPENDABOT = """Bump keras from 3.3.3 to 9.9.9

---
updated-dependencies:
- dependency-name: keras
  dependency-version: 9.9.9
  dependency-type: direct:production
...

Signed-off-by: dependabot[bot] <support@github.com>"""


@pytest.mark.parametrize(
    ("message", "branch", "source"),
    [
        (DEPENDABOT, "topic", "dependabot"),
        ("Bump keras", "dependabot/pip/keras-3.5.0", "dependabot"),
        ("Update dependency keras", "renovate/keras-3.x", "renovate"),
        ("Bump keras", "topic", ""),
        ("---\nupdated-dependencies:\n- &a [*a, *a]\n- {{{\n...\n", "topic", ""),
        (
            "---\nupdated-dependencies:\n  !!python/object/apply:os.system [touch pwned]\n...\n",
            "topic",
            "dependabot",
        ),
    ],
)
def test_the_bots_label_the_upgrade_and_are_trusted_for_no_version(
    repo: Repo, message: str, branch: str, source: str
) -> None:
    repo.commit({"requirements.txt": "keras==3.3.3\n"})
    repo.pull_request({"requirements.txt": "keras==3.5.0\n"}, message)

    found = detect(repo.folder, Trigger(event="pull_request", ref=branch), Options())

    assert found.upgrade.source == source
    assert found.upgrade.changes[0].new == "3.5.0"
    assert not (repo.folder / "pwned").exists()


def test_a_depth_one_clone_of_a_pull_request(repo: Repo, tmp_path: Path) -> None:
    repo.commit({"requirements.txt": "keras==3.3.3\n"})
    repo.pull_request({"requirements.txt": "keras==3.5.0\n"}, DEPENDABOT)
    shallow = repo.clone(tmp_path / "shallow", "--depth", "1")

    found = detect(shallow.folder, PULL_REQUEST, Options())

    assert [(change.old, change.new) for change in found.upgrade.changes] == [("3.3.3", "3.5.0")]


def test_a_link_moves_with_the_file_that_it_names(repo: Repo) -> None:
    (repo.folder / "requirements.txt").symlink_to("shared/ml.txt")
    found = pull(repo, {"shared/ml.txt": "keras==3.3.3\n"}, {"shared/ml.txt": "keras==3.5.0\n"})

    assert [(change.name, change.old, change.new) for change in found.upgrade.changes] == [
        ("keras", "3.3.3", "3.5.0")
    ]


def test_a_limit_on_a_package_that_is_not_installed_moves_nothing(repo: Repo) -> None:
    found = pull(
        repo,
        {"requirements.txt": "-c limits.txt\nkeras\n", "limits.txt": "jax==0.4\n"},
        {"limits.txt": "jax==0.5\n"},
        Options(exclude_newer=INSTANT),
        Index({"keras": ("3.5.0",), "jax": ("0.4", "0.5")}),
    )

    assert found.upgrade.changes == ()
    assert not found.upgrade.relevant


def test_many_manifests_are_read_by_few_processes(repo: Repo) -> None:
    many: Files = {f"service{number}/requirements.txt": f"six=={number}\n" for number in range(300)}
    repo.commit({**many, "requirements.txt": "keras==3.3.3\n"})
    repo.pull_request({"requirements.txt": "keras==3.5.0\n"})
    started = time.monotonic()

    found = detect(repo.folder, PULL_REQUEST, Options())

    assert [change.name for change in found.upgrade.changes] == ["keras"]
    assert found.head.requirements == ("keras==3.5.0",)
    assert time.monotonic() - started < 10


def test_a_file_name_with_a_line_break_stays_one_path(repo: Repo) -> None:
    name = "a\n::error::b/requirements.txt"
    found = pull(repo, {name: "keras==3.3.3\n"}, {name: "keras==3.5.0\n"})

    assert found.upgrade.changes[0].manifest == name
    assert found.upgrade.reasons == (PackageReason(name="keras", old="3.3.3", new="3.5.0", manifest=name),)


def test_a_range_beside_an_exact_version_moves_unless_it_is_settled(repo: Repo) -> None:
    old = {"requirements.txt": 'keras==3.3.3 ; python_version<"3.9"\nkeras>=3.4 ; python_version>="3.9"\n'}
    new = {"requirements.txt": 'keras==3.3.3 ; python_version<"3.9"\nkeras>=3.5 ; python_version>="3.9"\n'}
    found = pull(repo, old, new)

    assert found.upgrade.relevant
    assert [(change.old, change.new, change.line) for change in found.upgrade.changes] == [
        ("==3.3.3 | >=3.4", "==3.3.3 | >=3.5", 2)
    ]


def test_an_exact_version_wins_over_a_range_in_the_file_beside_it(repo: Repo) -> None:
    def files(keras: str) -> Files:
        manifest = f'[project]\nname = "d"\nversion = "0"\ndependencies = ["keras>={keras}"]\n'
        return {"requirements.txt": f"keras=={keras}\n", "pyproject.toml": manifest}

    found = pull(repo, files("3.3.3"), files("3.5.0"))

    assert [(change.old, change.new) for change in found.upgrade.changes] == [("3.3.3", "3.5.0")]
    assert found.head.requirements == ("keras>=3.5.0", "keras==3.5.0")


def test_a_marker_that_compares_what_cannot_be_compared(repo: Repo) -> None:
    lock = samples.poetry_lock("3.3.3").replace(
        "files = []", "markers = \"os_name ~= 'posix'\"\nfiles = []", 1
    )
    repo.commit({"poetry.lock": lock.replace('groups = ["dev"]', 'groups = ["main"]')})
    repo.pull_request({"poetry.lock": lock.replace('groups = ["dev"]', 'groups = ["main"]') + "\n"})

    with pytest.raises(ConfigurationError, match="cannot be evaluated"):
        detect(repo.folder, PULL_REQUEST, Options())


def test_a_base_that_cannot_be_read_is_named_as_the_base(repo: Repo) -> None:
    repo.commit({"pyproject.toml": "[project\n"})
    repo.pull_request({"pyproject.toml": samples.pyproject("3.5.0")})

    with pytest.raises(ConfigurationError, match=r"^pyproject\.toml@base:1 is not valid TOML"):
        detect(repo.folder, PULL_REQUEST, Options())
