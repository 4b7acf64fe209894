"""The distribution: built, served by an index of its own, installed where nothing of the repository is."""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import subprocess
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from uv import find_uv_bin

from tests.inputs.files import entry, functional, write_keras

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
NAME = "keras-upgrade-validator"


@dataclass(frozen=True)
class Shop:
    """A static index with the distribution, and the files in it."""

    url: str
    wheel: Path
    sdist: Path
    scratch: Path

    def run(self, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run a program outside the repository."""
        hidden = ("PYTHONPATH", "VIRTUAL_ENV")
        environ = {name: value for name, value in os.environ.items() if name not in hidden}
        environ |= {"UV_TOOL_DIR": str(self.scratch / "tools"), "PIPX_HOME": str(self.scratch / "pipx")}
        done = subprocess.run(
            arguments, cwd=cwd or self.scratch, capture_output=True, text=True, env=environ, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    scratch = tmp_path_factory.mktemp("shop")
    pages = scratch / "simple" / NAME
    pages.mkdir(parents=True)
    build = [find_uv_bin(), "build", "--quiet", "--out-dir", str(scratch / "dist"), str(ROOT)]
    subprocess.run(build, check=True)
    wheel, sdist = next((scratch / "dist").glob("*.whl")), next((scratch / "dist").glob("*.tar.gz"))
    links = []
    for file in (wheel, sdist):
        shutil.copy(file, pages / file.name)
        links.append(f'<a href="{file.name}">{file.name}</a>')
    (pages / "index.html").write_text(f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>")
    handler = functools.partial(_Quiet, directory=str(scratch))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Shop(f"http://127.0.0.1:{server.server_port}/simple", wheel, sdist, scratch)
    server.shutdown()


@pytest.fixture(scope="module")
def python(shop: Shop) -> Path:
    """A fresh environment with the distribution; its dependencies come from PyPI."""
    venv = shop.scratch / "venv"
    shop.run(find_uv_bin(), "venv", "--quiet", str(venv))
    python = venv / "bin" / "python"
    index = ["--index", shop.url, "--refresh-package", NAME]
    shop.run(find_uv_bin(), "pip", "install", "--quiet", "--python", str(python), *index, NAME)
    return python


def tracked() -> set[str]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "validator"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return set(listed.stdout.splitlines())


def test_the_wheel_holds_every_file_of_the_package(shop: Shop) -> None:
    inside = {name for name in zipfile.ZipFile(shop.wheel).namelist() if name.startswith("validator/")}
    assert inside == tracked()
    assert {Path(name).suffix for name in inside} >= {".json", ".yml", ".j2", ".css", ".typed"}


def test_the_sdist_builds_the_same_wheel(shop: Shop) -> None:
    with tarfile.open(shop.sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert tracked() <= names


@pytest.mark.parametrize("program", ["keras-validator", "keras-upgrade-validator", "-m validator"])
def test_every_way_to_start(shop: Shop, python: Path, program: str) -> None:
    start = [str(python), "-m", "validator"] if program == "-m validator" else [str(python.parent / program)]
    assert "init" in shop.run(*start, "--help").stdout
    assert shop.run(*start, "--version").stdout.startswith("keras-validator ")


def test_pytest_has_the_fixture(shop: Shop, python: Path, tmp_path: Path) -> None:
    shop.run(find_uv_bin(), "pip", "install", "--quiet", "--python", str(python), "pytest")
    listed = shop.run(str(python), "-m", "pytest", "--fixtures", "-q", cwd=tmp_path)
    assert "keras_validator" in listed.stdout


def test_the_data_of_the_package_is_there(shop: Shop, python: Path, tmp_path: Path) -> None:
    write_keras(tmp_path / "m.keras", functional(entry("x", [None, 4])))
    program = str(python.parent / "keras-validator")
    shop.run(program, "init", "--yes", "--workflow", "--dependabot", cwd=tmp_path)
    assert (tmp_path / ".github" / "workflows" / "keras.yml").is_file()
    assert "between Keras 3.3.3 and" in shop.run(program, "advise", "m.keras", cwd=tmp_path).stdout
    assert "m@keras-3.15.1" in shop.run(program, "plan", cwd=tmp_path).stdout


def test_record_needs_nothing_but_numpy(shop: Shop) -> None:
    venv = shop.scratch / "bare"
    shop.run(find_uv_bin(), "venv", "--quiet", str(venv))
    python = str(venv / "bin" / "python")
    shop.run(find_uv_bin(), "pip", "install", "--quiet", "--python", python, "numpy")
    only = ["--no-deps", "--index", shop.url, "--refresh-package", NAME, NAME]
    shop.run(find_uv_bin(), "pip", "install", "--quiet", "--python", python, *only)
    code = "import numpy as np\nfrom validator import record\n"
    code += "recorder = record(None, 'out')\nrecorder.add(np.ones(3))\nrecorder.save()"
    shop.run(python, "-c", code)
    assert (shop.scratch / "out" / "manifest.json").is_file()


def test_uvx(shop: Shop) -> None:
    done = shop.run(
        find_uv_bin(), "tool", "run", "--index", shop.url, "--refresh-package", NAME, NAME, "--version"
    )
    assert done.stdout.startswith("keras-validator ")


def test_pipx(shop: Shop) -> None:
    pip = f"--pip-args=--extra-index-url={shop.url}"
    done = shop.run(find_uv_bin(), "tool", "run", "pipx", "run", "--no-cache", pip, NAME, "--version")
    assert done.stdout.startswith("keras-validator ")
