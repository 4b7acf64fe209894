"""The real uv, on packages that are small."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from validator.config.settings import Install
from validator.environments import Built, Uv, prepare
from validator.environments.build import MARKER
from validator.environments.intact import damaged, is_edited
from validator.failure import Failure
from validator.matrix import Environment


@pytest.fixture
def uv() -> Uv:
    return Uv.bundled({**os.environ, "VIRTUAL_ENV": "/nonexistent", "PYTHONPATH": "/nonexistent"})


PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


def environment(*requirements: str, python: str = PYTHON) -> Environment:
    return Environment("small", python, requirements)


def versions(built: Built) -> str:
    code = "import importlib.metadata as m; print(m.version('packaging'))"
    return subprocess.run(
        [built.python, "-c", code], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_locked_once_reused_while_unchanged_and_rebuilt_when_changed(tmp_path: Path, uv: Uv) -> None:
    locks = tmp_path / "locks"
    first = prepare(environment("packaging==24.1"), Install(), tmp_path, locks, uv)
    assert isinstance(first, Built)
    assert not first.reused
    assert versions(first) == "24.1"
    kept = first.lock.stat().st_mtime_ns
    second = prepare(environment("packaging==24.1"), Install(), tmp_path, locks, uv)
    assert isinstance(second, Built)
    assert second.reused
    assert second.lock.stat().st_mtime_ns == kept
    third = prepare(environment("packaging==24.2"), Install(), tmp_path, locks, uv)
    assert isinstance(third, Built)
    assert not third.reused
    assert versions(third) == "24.2"


def test_a_half_built_environment_is_built_again(tmp_path: Path, uv: Uv) -> None:
    locks = tmp_path / "locks"
    built = prepare(environment("packaging==24.1"), Install(), tmp_path, locks, uv)
    assert isinstance(built, Built)
    (tmp_path / "small" / MARKER).unlink()
    subprocess.run(
        [uv.binary, "pip", "uninstall", "-q", "--python", str(built.python), "packaging"], check=True
    )
    again = prepare(environment("packaging==24.1"), Install(), tmp_path, locks, uv)
    assert isinstance(again, Built)
    assert not again.reused
    assert versions(again) == "24.1"


def test_a_hand_edited_lock_is_installed_as_it_stands(tmp_path: Path, uv: Uv) -> None:
    locks = tmp_path / "locks"
    built = prepare(environment("packaging"), Install(), tmp_path, locks, uv)
    assert isinstance(built, Built)
    lines = [line for line in built.lock.read_text().splitlines() if not line.startswith("packaging==")]
    built.lock.write_text("\n".join([*lines, "packaging==24.1"]) + "\n")
    again = prepare(environment("packaging"), Install(), tmp_path, locks, uv)
    assert isinstance(again, Built)
    assert versions(again) == "24.1"


@pytest.mark.parametrize(
    ("requirements", "stage", "words"),
    [
        (("packaging==9999",), "resolve", "packaging==9999"),
        (("packaging==24.1", "packaging==24.2"), "resolve", "24.1"),
        (("no-such-package-of-keras-validator",), "resolve", "no-such-package-of-keras-validator"),
    ],
)
def test_what_cannot_be_resolved_fails_in_uvs_words(
    tmp_path: Path, uv: Uv, requirements: tuple[str, ...], stage: str, words: str
) -> None:
    failure = prepare(environment(*requirements), Install(), tmp_path, tmp_path / "locks", uv)
    assert isinstance(failure, Failure)
    assert failure.stage == stage
    assert words in failure.message
    assert "╰" not in failure.message
    assert not (tmp_path / "small" / MARKER).exists()


def test_what_cannot_be_installed_fails_and_leaves_no_marker(tmp_path: Path, uv: Uv) -> None:
    locks = tmp_path / "locks"
    built = prepare(environment("packaging==24.1"), Install(), tmp_path, locks, uv)
    assert isinstance(built, Built)
    built.lock.write_text(built.lock.read_text().replace("24.1", "9999"))
    failure = prepare(environment("packaging==24.1"), Install(), tmp_path, locks, uv)
    assert isinstance(failure, Failure)
    assert failure.stage == "install"
    assert not (tmp_path / "small" / MARKER).exists()


def test_exclude_newer_is_passed_on(tmp_path: Path, uv: Uv) -> None:
    built = prepare(
        environment("packaging"), Install(exclude_newer="2024-07-01"), tmp_path, tmp_path / "locks", uv
    )
    assert isinstance(built, Built)
    assert versions(built) == "24.1"


def test_many_threads_build_an_environment_once(tmp_path: Path, uv: Uv) -> None:
    def job(_: int) -> Built | Failure:
        return prepare(environment("packaging==24.1"), Install(), tmp_path, tmp_path / "locks", uv)

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(job, range(4)))

    assert sorted(isinstance(built, Built) and built.reused for built in results) == [False, True, True, True]


def test_an_environment_of_another_python_is_made_anew(tmp_path: Path, uv: Uv) -> None:
    locks = tmp_path / "locks"
    first = prepare(environment("packaging==24.1"), Install(), tmp_path, locks, uv)
    assert isinstance(first, Built)
    configuration = tmp_path / "small" / "pyvenv.cfg"
    configuration.write_text(configuration.read_text().replace("version_info = 3.", "version_info = 2."))

    again = prepare(environment("packaging==24.1"), Install(), tmp_path, locks, uv)

    assert isinstance(again, Built)
    assert not again.reused
    assert f"version_info = {PYTHON}" in configuration.read_text()


def test_an_environment_whose_interpreter_is_gone_is_made_anew(tmp_path: Path, uv: Uv) -> None:
    first = prepare(environment("packaging==24.1"), Install(), tmp_path, tmp_path / "locks", uv)
    assert isinstance(first, Built)
    first.python.unlink()
    first.python.symlink_to("/nowhere/python")

    again = prepare(environment("packaging==24.1"), Install(), tmp_path, tmp_path / "locks", uv)

    assert isinstance(again, Built)
    assert versions(again) == "24.1"


def test_a_python_that_cannot_be_had_is_a_failure_that_names_it(tmp_path: Path, uv: Uv) -> None:
    failure = prepare(
        environment("packaging==24.1", python="3.99"), Install(), tmp_path, tmp_path / "locks", uv
    )

    assert isinstance(failure, Failure)
    assert (failure.stage, failure.error) == ("install", "uv")
    assert "Python 3.99" in failure.message
    assert not (tmp_path / "small" / MARKER).exists()


def prepared(folder: Path, uv: Uv, *requirements: str) -> Built:
    built = prepare(environment(*requirements), Install(), folder, folder / "locks", uv)
    assert isinstance(built, Built)
    return built


def test_an_environment_with_another_version_is_installed_again(tmp_path: Path, uv: Uv) -> None:
    built = prepared(tmp_path, uv, "packaging==24.1")
    command = [uv.binary, "pip", "install", "-q", "--python", str(built.python)]
    subprocess.run([*command, "packaging==24.2", "iniconfig"], check=True)
    again = prepared(tmp_path, uv, "packaging==24.1")
    assert not again.reused
    assert versions(again) == "24.1"
    assert not list((tmp_path / "small").glob("lib/*/site-packages/iniconfig*"))
    assert prepared(tmp_path, uv, "packaging==24.1").reused


def test_an_edited_file_is_installed_again(tmp_path: Path, uv: Uv) -> None:
    prepared(tmp_path, uv, "packaging==24.1")
    (file,) = (tmp_path / "small").glob("lib/*/site-packages/packaging/version.py")
    text = file.read_text()
    file.unlink()  # an editor writes another file: the linked original stays in the cache
    file.write_text(text + "\n# edited\n")
    assert not prepared(tmp_path, uv, "packaging==24.1").reused
    assert file.read_text() == text


def test_an_edit_that_reached_the_cache_is_undone(tmp_path: Path, uv: Uv) -> None:
    own_cache = Uv(uv.binary, {**uv.environ, "UV_CACHE_DIR": str(tmp_path / "cache")})
    prepared(tmp_path, own_cache, "packaging==24.1")
    for file in tmp_path.rglob("packaging/version.py"):
        if "# edited" not in file.read_text():
            with file.open("a") as append:
                append.write("# edited\n")
    for folder in (tmp_path, tmp_path / "of-another-project"):  # the edited one, and one that is made anew
        assert not prepared(folder, own_cache, "packaging==24.1").reused
        (file,) = (folder / "small").glob("lib/*/site-packages/packaging/version.py")
        assert "# edited" not in file.read_text()


def test_an_edit_that_reached_the_cache_is_undone_for_a_wheel_of_a_folder(tmp_path: Path, uv: Uv) -> None:
    """uv unpacks it from the cache, even when it installs it anew."""
    own_cache = Uv(uv.binary, {**uv.environ, "UV_CACHE_DIR": str(tmp_path / "cache")})
    wheels = write_wheel(tmp_path / "wheels")
    install = Install(find_links=(str(wheels),), no_index=True)
    for name in ("edited", "anew", "again"):
        root = tmp_path / name
        for _ in range(2):
            built = prepare(environment("small==1"), install, root, root / "locks", own_cache)
            assert isinstance(built, Built)
            (file,) = (root / "small").glob("lib/*/site-packages/small.py")
            assert file.read_text() == "before\n"
            with file.open("a") as append:
                append.write("# edited\n")


def test_a_file_of_two_packages_is_whole_where_it_is_what_either_says(tmp_path: Path) -> None:
    site = tmp_path / "lib" / "python3.11" / "site-packages"
    for name, size in (("first", 3), ("second", 6)):
        (site / f"{name}-1.dist-info").mkdir(parents=True)
        (site / f"{name}-1.dist-info" / "RECORD").write_text(f"tests.so,sha256=x,{size}\n")
    (site / "tests.so").write_text("second")
    assert damaged(tmp_path) == ()
    assert not is_edited(tmp_path, (site / "tests.so").stat().st_mtime)
    (site / "tests.so").write_text("neither")
    assert is_edited(tmp_path, (site / "tests.so").stat().st_mtime)
    assert damaged(tmp_path) == ("first", "second")


def write_wheel(folder: Path) -> Path:
    folder.mkdir()
    files = {
        "small.py": "before\n",
        "small-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: small\nVersion: 1\n",
        "small-1.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = []
    for name, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        rows.append(f"{name},sha256={digest},{len(text)}\n")
    files["small-1.dist-info/RECORD"] = "".join([*rows, "small-1.dist-info/RECORD,,\n"])
    with zipfile.ZipFile(folder / "small-1-py3-none-any.whl", "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return folder


def test_an_edit_is_seen_where_a_wheel_has_no_digests(tmp_path: Path) -> None:
    facts = tmp_path / "lib" / "python3.11" / "site-packages" / "small-1.dist-info"
    facts.mkdir(parents=True)
    (facts / "RECORD").write_text("small.py,,\nsmall-1.dist-info/RECORD,,\n")
    code = facts.parent / "small.py"
    code.write_text("before")
    installed = code.stat().st_mtime
    assert not is_edited(tmp_path, installed)
    os.utime(code, (installed + 10, installed + 10))
    assert is_edited(tmp_path, installed)
    assert not damaged(tmp_path)
    code.unlink()
    assert damaged(tmp_path)


def test_files_are_held_against_their_wheel(tmp_path: Path, uv: Uv) -> None:
    own_cache = Uv(uv.binary, {**uv.environ, "UV_CACHE_DIR": str(tmp_path / "cache")})
    prepared(tmp_path, own_cache, "packaging==24.1")
    (file,) = (tmp_path / "small").glob("lib/*/site-packages/packaging/version.py")
    assert not damaged(tmp_path / "small")
    text = file.read_text()
    with file.open("r+") as edit:
        edit.write(text[:-1] + "#")  # as long as before, and linked to the cache
    assert damaged(tmp_path / "small")
    assert not prepared(tmp_path / "of-another-project", own_cache, "packaging==24.1").reused
    assert not damaged(tmp_path / "of-another-project" / "small")


def test_a_range_of_pythons_makes_the_environment_anew(tmp_path: Path, uv: Uv) -> None:
    ranges = [f">={PYTHON}", f"~={PYTHON}.0", f"~={PYTHON}.0"]
    built = [
        prepare(environment("packaging==24.1", python=each), Install(), tmp_path, tmp_path / "locks", uv)
        for each in ranges
    ]
    assert [each.reused for each in built if isinstance(each, Built)] == [False, False, True]


def test_an_override_that_wins_over_the_matrix_is_refused(tmp_path: Path, uv: Uv) -> None:
    asked = Environment("keras-3.5.0", PYTHON, ("keras==3.5.0",), overrides=("keras==3.6.0",))
    failure = prepare(asked, Install(), tmp_path, tmp_path / "locks", uv)
    assert isinstance(failure, Failure)
    assert failure.stage == "resolve"
    assert "keras 3.5.0, but its lock has keras 3.6.0" in failure.message


WRONG = "sha256:" + "ab" * 32


def test_a_hash_of_the_project_that_no_file_has_refuses_the_installation(tmp_path: Path, uv: Uv) -> None:
    hashed = replace(environment("packaging==24.1"), hashes=(("packaging==24.1", (WRONG,)),))
    refused = prepare(hashed, Install(), tmp_path, tmp_path / "locks", uv)
    assert isinstance(refused, Failure)
    assert refused.stage == "install"
    assert "Hash mismatch for `packaging==24.1`" in refused.message


def test_the_hashes_of_the_project_are_in_the_lock(tmp_path: Path, uv: Uv) -> None:
    own = "sha256:5b8f2217dbdbd2f7f384c41c628544e6d52f2d0f53c6d0c3ea61aa5d1d7ff124"
    hashed = replace(environment("packaging==24.1"), hashes=(("packaging==24.1", (WRONG, own)),))
    built = prepare(hashed, Install(), tmp_path, tmp_path / "locks", uv)
    assert isinstance(built, Built)
    assert f"--hash={own}" in built.lock.read_text()
    again = prepare(hashed, Install(), tmp_path, tmp_path / "locks", uv)
    assert isinstance(again, Built)
    assert again.reused


SECRET = "s3cret/of~the job"


@pytest.mark.parametrize(
    ("requirement", "install"),
    [
        ("packaging @ https://u:${TOKEN}@127.0.0.1:9/${TOKEN}/packaging-1.0-py3-none-any.whl", Install()),
        ("packaging", Install(index_url="http://127.0.0.1:9/${TOKEN}/simple")),
        ("packaging", Install(extra_index_urls=("http://127.0.0.1:9/${TOKEN}/simple",))),
    ],
)
def test_a_variable_in_an_address_is_expanded_and_not_shown(
    tmp_path: Path, requirement: str, install: Install
) -> None:
    uv = Uv.bundled({**os.environ, "TOKEN": SECRET, "UV_HTTP_RETRIES": "0"}, ("TOKEN",))
    refused = prepare(environment(requirement), install, tmp_path, tmp_path / "locks", uv)
    assert isinstance(refused, Failure)
    assert "127.0.0.1:9" in refused.message
    assert "***" in refused.message
    shown = refused.model_dump_json() + "".join(path.read_text() for path in tmp_path.glob("locks/*"))
    assert SECRET not in shown
    assert "s3cret" not in shown


@pytest.mark.parametrize(
    ("variables", "allowed", "words"),
    [
        ({"TOKEN": SECRET}, (), "add TOKEN to `install.variables`"),
        ({}, ("TOKEN",), "set the environment variable TOKEN"),
    ],
)
def test_a_variable_that_is_not_listed_or_not_set_is_named(
    tmp_path: Path, variables: dict[str, str], allowed: tuple[str, ...], words: str
) -> None:
    uv = Uv.bundled({**os.environ, **variables}, allowed)
    for install in (Install(index_url="http://127.0.0.1:9/${TOKEN}"), Install()):
        line = "packaging" if install.index_url else "packaging @ http://127.0.0.1:9/${TOKEN}/p.whl"
        refused = prepare(environment(line), install, tmp_path, tmp_path / "locks", uv)
        assert isinstance(refused, Failure)
        assert words in refused.message
        assert SECRET not in refused.model_dump_json()
