"""Which project decides, what cannot be read, and what contradicts itself: in real repositories."""

# ruff: noqa: E501 — a table of repositories is written in long lines

from __future__ import annotations

from typing import Any

import pytest

from tests.upgrade.conftest import Files, Repo
from tests.upgrade.test_upgrade_detect import pull
from validator.upgrade import Detected, Options
from validator.upgrade.types import (
    AmbiguousReason,
    NoFrameworkReason,
    PythonMismatchReason,
    StaleLockReason,
    UnreadReason,
)

OLD, NEW = "keras==3.3.3\n", "keras==3.5.0\n"
READ: Files = {"requirements.txt": NEW}


def kinds(found: Detected) -> list[str]:
    return [reason.kind for reason in found.upgrade.reasons]


def project(*dependencies: str, more: str = "") -> str:
    return f"[project]\nname = 'w'\nversion = '1'\ndependencies = {list(dependencies)}\n{more}"


DYNAMIC = "[project]\nname = 'w'\nversion = '1'\ndynamic = ['dependencies', 'optional-dependencies']\n"
CFG = "[metadata]\nname = w\n[options]\npython_requires = >=3.9\n"


@pytest.mark.parametrize(
    ("fixed", "name", "text"),
    [
        ({}, "setup.cfg", CFG + "install_requires =\n    # pinned\n    keras=={}\n    numpy<2; python_version<'4'\n"),
        ({}, "setup.cfg", CFG + "install_requires = keras=={}\n"),
        ({"setup.cfg": CFG + "install_requires = file: ml.txt\n"}, "ml.txt", "keras=={}\n"),
        ({"setup.cfg": CFG + "install_requires = file: a.txt, ml.txt\n", "a.txt": "six\n"}, "ml.txt", "keras=={}\n"),
        ({}, "setup.cfg", CFG + "[options.extras_require]\nml = keras=={}\n"),
        (
            {"pyproject.toml": DYNAMIC + "[tool.setuptools.dynamic]\ndependencies = {file = 'ml.txt'}\n"},
            "ml.txt",
            "# read by setuptools\nkeras=={}\n",
        ),
        (
            {"pyproject.toml": DYNAMIC + "[tool.setuptools.dynamic.optional-dependencies]\nml = {file = ['m/l.txt']}\n"},
            "m/l.txt",
            "keras=={}\n",
        ),
        (
            {"pyproject.toml": DYNAMIC + "[tool.hatch.metadata.hooks.requirements_txt]\nfiles = ['ml.txt']\n"},
            "ml.txt",
            "keras=={}\n",
        ),
        ({"pyproject.toml": "[build-system]\nrequires = ['setuptools']\n"}, "setup.cfg", CFG + "install_requires = keras=={}\n"),
        ({}, "pyproject.toml", project("six", more="[tool.pdm.dev-dependencies]\nml = ['keras=={}']\n")),
        ({}, "pyproject.toml", project("six", more="[tool.uv]\ndev-dependencies = ['keras=={}']\n")),
        ({}, "requirements.lock", "keras=={}\n"),
        ({"requirements.txt": "-r deploy/more.txt\n"}, "deploy/more.txt", "keras=={}\n"),
        (
            {},
            "pdm.lock",
            "[metadata]\ngroups = ['default']\n[[package]]\nname = 'keras'\nversion = '{}'\ngroups = ['default']\n"
            "dependencies = ['numpy']\nfiles = []\n",
        ),
    ],
)  # fmt: skip
def test_what_needs_no_code_is_read(repo: Repo, fixed: Files, name: str, text: str) -> None:
    found = pull(repo, {**fixed, name: text.format("3.3.3")}, {name: text.format("3.5.0")})

    assert kinds(found) == ["package"]
    assert [(change.old, change.new) for change in found.upgrade.changes] == [("3.3.3", "3.5.0")]
    assert "keras==3.3.3" in found.base.requirements
    assert "keras==3.5.0" in found.head.requirements


WORKFLOW = "on: push\njobs:\n  test:\n    steps:\n      - uses: actions/setup-python@v5\n      - run: |\n{}\n"
UNREAD = [
    ("setup.py", "from setuptools import setup\nsetup(name='w', install_requires=['keras=={}'])\n"),
    ("setup.py", "from setuptools import setup\nK = '{}'\nsetup(install_requires=[f'keras=={{K}}', 'numpy'])\n"),
    ("setup.py", "from setuptools import setup\nK = '{}'\nsetup(install_requires=['keras==' + K])\n"),
    ("setup.py", "from setuptools import setup\nsetup(extras_require={{'tf': ['tf-keras~={}']}})\n"),
    ("Dockerfile", "FROM python:3.11\nRUN pip install \\\n    # the framework\n    keras=={} \\\n    six\n"),
    ("Dockerfile", "ARG RELEASE={}\nFROM python:3.11\nRUN pip install keras==${{RELEASE}}\n"),
    ("docker/serving.Dockerfile", "FROM tensorflow/tensorflow:{}-gpu\n"),
    ("Containerfile", "FROM tensorflow/tensorflow:{}\n"),
    ("Dockerfile", "FROM python\nENV KERAS_VERSION {}\n"),
    ("Dockerfile", "FROM python\nRUN pip install https://packages.example.org/keras-{}-py3-none-any.whl\n"),
    (".github/workflows/ci.yml", WORKFLOW.format("          pip install six 'keras=={}'")),
    (".github/workflows/ci.yml", "env:\n  KERAS_VERSION: '{}'\non: push\njobs: {{}}\n"),
    (
        ".github/workflows/ci.yml",
        "jobs:\n  t:\n    strategy:\n      matrix:\n        keras:\n        - {}\n    steps:\n"
        "    - run: pip install keras==${{{{ matrix.keras }}}}\n",
    ),
    (".gitlab-ci.yml", "test:\n  image: tensorflow/tensorflow:{}\n  script: [pytest]\n"),
    ("docker-compose.yml", "services:\n  ml:\n    image: tensorflow/tensorflow:{}\n"),
    (".devcontainer/devcontainer.json", '{{\n  // set up\n  "postCreateCommand": "pip install keras=={}",\n}}\n'),
    ("Makefile", "install:\n\tpip install keras=={}\n"),
    ("Makefile", "KERAS := {}\ninstall:\n\tpip install keras==$(KERAS)\n"),
    ("scripts/install.sh", "#!/bin/sh\nuv pip install 'tensorflow-cpu=={}' # wheels\n"),
    ("pixi.toml", "[dependencies]\nkeras = \"{}\"\n"),
    ("conda-lock.yml", "package:\n- name: keras\n  version: {}\n  manager: conda\n"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text"), UNREAD)
@pytest.mark.parametrize("beside", ["nothing", "a manifest that stays"])
def test_what_needs_code_is_never_green(repo: Repo, name: str, text: str, beside: str) -> None:
    fixed: Files = {} if beside == "nothing" else {"requirements.txt": "keras==3.0.0\ntensorflow-cpu==2.16\n"}

    found = pull(repo, {**fixed, name: text.format("3.3.3")}, {name: text.format("3.5.0")})

    (reason,) = found.upgrade.undecided
    assert isinstance(reason, UnreadReason)
    assert reason.path == name
    assert found.upgrade.relevant


@pytest.mark.parametrize(("name", "text"), [*UNREAD, ("tox.ini", "[testenv]\ndeps =\n  keras=={}\n"), ("noxfile.py", "import nox\ns.install('keras=={}')\n")])  # fmt: skip
def test_without_any_manifest_a_file_that_stays_is_no_pass_either(repo: Repo, name: str, text: str) -> None:
    found = pull(repo, {name: text.format("3.5.0")}, {"README.md": "hello\n"})

    assert found.upgrade.reasons == (NoFrameworkReason(side=None, path=name),)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("Dockerfile", "FROM python\nRUN pip install keras==3.5.0 six==1.15\n", "FROM python\nRUN pip install keras==3.5.0 six==1.16\n"),
        ("Dockerfile", "FROM python\nRUN pip install keras==3.4\n", "# why\nFROM python\nRUN pip install  keras==3.4\nEXPOSE 80\n"),
        ("Dockerfile", "FROM python\nRUN pip install keras==3.3.3\n", None),
        ("Dockerfile", "FROM python\nRUN pip install keras==3.3.3\n", "FROM python\nCOPY requirements.txt .\nRUN pip install -r requirements.txt\n"),
        (".github/workflows/ci.yml", "on: push\nname: Keras\njobs: {a: {steps: [{uses: o/keras-upgrade-validator@v1}]}}\n", "on: push\nname: Run\njobs: {a: {steps: [{uses: o/keras-upgrade-validator@v2}]}}\n"),
        (".github/workflows/ci.yml", WORKFLOW.format("          pip install keras==3.4 ruff==0.1"), WORKFLOW.format("          pip install keras==3.4 ruff==0.2")),
        ("setup.py", "from setuptools import setup\nsetup(version='1', install_requires=['keras>=3'])\n", "# new\nfrom setuptools import setup\nsetup(version='2', keywords=['keras', 'jax'], install_requires=['keras>=3'])\n"),
        ("setup.py", "import numpy\nprint('numpy is needed')\n", "import numpy, os\nprint('numpy is needed')\n"),
        ("tox.ini", "[testenv]\ndeps = keras==3.3.3\n", "[testenv]\ndeps = keras==3.5.0\n"),
        ("noxfile.py", "s.install('keras==3.3.3')\n", "s.install('keras==3.5.0')\n"),
        ("train.sh", "python train.py --keras\n", "python train.py --keras --fast\n"),
        ("docs/Dockerfile", "RUN pip install keras==3.3.3\n", "RUN pip install keras==3.5.0\n"),
        ("Makefile", "test:\n\tpytest -k keras\n", "test:\n\tpytest -k 'keras or jax'\n"),
    ],
)  # fmt: skip
def test_what_moves_no_framework_is_no_alarm(repo: Repo, name: str, old: str, new: str | None) -> None:
    fixed: Files = {"requirements.txt": "keras==3.3.3\n"}

    found = pull(repo, {**fixed, name: old}, {name: new})

    assert kinds(found) == ["irrelevant"]


def test_a_file_that_moves_as_the_manifest_does_is_no_news(repo: Repo) -> None:
    def files(keras: str, tensorflow: str) -> Files:
        docker = f"FROM tensorflow/tensorflow:{tensorflow}\nRUN pip install keras=={keras}\n"
        setup = f"from setuptools import setup\nsetup(install_requires=['keras>={keras}'])\n"
        return {
            "requirements.txt": f"keras=={keras}\ntensorflow-cpu=={tensorflow}\n",
            "Dockerfile": docker,
            "setup.py": setup,
        }

    found = pull(repo, files("3.3.3", "2.16.1"), files("3.5.0", "2.17.0"))

    assert kinds(found) == ["package", "package"]


@pytest.mark.parametrize("options", [Options(manifests=("requirements.txt",)), Options(ignore=("Docker*",))])
def test_a_setting_settles_what_cannot_be_read(repo: Repo, options: Options) -> None:
    dockerfile = "FROM python\nRUN pip install keras==3.4.{}\n"

    found = pull(
        repo, {**READ, "Dockerfile": dockerfile.format(0)}, {"Dockerfile": dockerfile.format(1)}, options
    )

    assert kinds(found) == ["irrelevant"]


@pytest.mark.parametrize(
    "data",
    [b"\xff\xfe" + "FROM x\nRUN pip install keras==3.5.0\n".encode("utf-16-le"), b"\xef\xbb\xbfFROM x\r\nRUN pip install \\\r\n keras==3.5.0\r\n", b"FROM x\n# \xe9\nRUN pip install keras==3.5.0\n"],
    ids=["UTF-16", "BOM and CRLF", "Latin-1"],
)  # fmt: skip
def test_every_usual_encoding_of_a_file_that_cannot_be_run(repo: Repo, data: bytes) -> None:
    found = pull(repo, {**READ, "Dockerfile": "FROM x\nRUN pip install keras==3.3.3\n"}, {"Dockerfile": data})

    assert kinds(found) == ["unread"]


CASES: dict[str, tuple[Files, Files, str, list[str]]] = {
    "another service": ({"a/requirements.txt": OLD, "b/requirements.txt": OLD}, {"b/requirements.txt": NEW}, "a", ["irrelevant"]),
    "another service of another kind": ({"a/requirements.txt": OLD, "b/pyproject.toml": project("keras==3.3.3")}, {"b/pyproject.toml": project("keras==3.5.0")}, "a", ["irrelevant"]),
    "the Dockerfile of another service": ({"a/requirements.txt": OLD, "b/requirements.txt": OLD, "b/Dockerfile": "RUN pip install keras==3.1\n"}, {"b/Dockerfile": "RUN pip install keras==3.2\n"}, "a", ["irrelevant"]),
    "the root, below which a service moves": ({"requirements.txt": OLD, "b/requirements.txt": OLD}, {"b/requirements.txt": NEW}, "", ["irrelevant"]),
    "the root decides for a folder without a framework": ({"requirements.txt": OLD, "a/requirements.txt": "six\n"}, {"requirements.txt": NEW}, "a", ["package"]),
    "deeper than its project": ({"ml/requirements.txt": OLD, "b/requirements.txt": OLD}, {"ml/requirements.txt": NEW}, "ml/checks/keras", ["package"]),
    "the only one below": ({"deploy/requirements.txt": OLD, "web/requirements.txt": "six\n"}, {"deploy/requirements.txt": NEW}, "", ["package"]),
    "two below, one moves": ({"a/requirements.txt": OLD, "b/requirements.txt": OLD}, {"b/requirements.txt": NEW}, "", ["ambiguous"]),
    "two below, none moves": ({"a/requirements.txt": OLD, "b/requirements.txt": OLD}, {"b/requirements.txt": "# x\n" + OLD}, "", ["irrelevant"]),
    "documentation": ({**READ, "docs/requirements.txt": OLD}, {"docs/requirements.txt": NEW}, "", ["irrelevant"]),
    "documentation, in a file's name": ({**READ, "requirements-docs.txt": OLD}, {"requirements-docs.txt": NEW}, "", ["irrelevant"]),
    "tests": ({**READ, "tests/requirements.txt": OLD}, {"tests/requirements.txt": NEW}, "", ["irrelevant"]),
    "tests, in a folder of requirements": ({"requirements/base.txt": NEW, "requirements/test.txt": OLD}, {"requirements/test.txt": NEW}, "", ["irrelevant"]),
    "tests, as an environment of conda": ({**READ, "environment-test.yml": "dependencies: [keras=3.3.3]\n"}, {"environment-test.yml": "dependencies: [keras=3.5.0]\n"}, "", ["irrelevant"]),
    "developers": ({**READ, "requirements-dev.txt": OLD}, {"requirements-dev.txt": NEW}, "", ["irrelevant"]),
    "developers where nothing else is": ({"requirements-dev.txt": OLD}, {"requirements-dev.txt": NEW}, "", ["package"]),
    "documentation alone": ({"docs/requirements.txt": OLD}, {"docs/requirements.txt": NEW}, "", ["no-framework"]),
    "a configuration inside examples": ({**READ, "examples/requirements.txt": OLD}, {"examples/requirements.txt": NEW}, "examples", ["package"]),
    "a group of documentation": ({"pyproject.toml": project("keras==3.5.0", more="[dependency-groups]\ndocs = ['keras==3.3.3']\n")}, {"pyproject.toml": project("keras==3.5.0", more="[dependency-groups]\ndocs = ['keras==3.5.0']\n")}, "", ["irrelevant"]),
    "an extra of tests": ({"pyproject.toml": project("keras==3.5.0", more="[project.optional-dependencies]\ntest = ['jax==0.4.1']\n")}, {"pyproject.toml": project("keras==3.5.0", more="[project.optional-dependencies]\ntest = ['jax==0.4.2']\n")}, "", ["irrelevant"]),
    "a group with a framework": ({"pyproject.toml": project("six", more="[dependency-groups]\nml = ['keras==3.3.3']\n")}, {"pyproject.toml": project("six", more="[dependency-groups]\nml = ['keras==3.5.0']\n")}, "", ["package"]),
    "the same file, moved": ({"old/requirements.txt": OLD + "six==1.16\nattrs==1.0\nwheel==0.4\n"}, {"old/requirements.txt": None, "new/requirements.txt": NEW + "six==1.16\nattrs==1.0\nwheel==0.4\n"}, "", ["package"]),
    "a service that is new beside an older one": ({"b/requirements.txt": OLD}, {"a/requirements.txt": NEW}, "a", ["no-framework", "package"]),
    "from setup.py to a manifest": ({"setup.py": "setup(install_requires=['keras==3.5.0'])\n"}, {"setup.py": None, **READ}, "", ["unread", "no-framework", "package"]),
    "serving and training": ({"requirements-serving.txt": OLD, "requirements-training.txt": NEW}, {"requirements-serving.txt": NEW, "requirements-training.txt": "keras==3.6.0\n"}, "", ["ambiguous"]),
    "a comment": ({"requirements.txt": OLD}, {"requirements.txt": "\ufeff# x\r\nkeras==3.3.3\r\n"}, "", ["irrelevant"]),
    "another order": ({"requirements.txt": OLD + "numpy==1.26.4\n"}, {"requirements.txt": "numpy==1.26.4\n" + OLD}, "", ["irrelevant"]),
    "a setup.cfg of linters": ({**READ, "setup.cfg": "[flake8]\nmax-line-length = 80\n"}, {"setup.cfg": "[flake8]\nmax-line-length = 100\n"}, "", ["irrelevant"]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_nearest_project_decides(repo: Repo, name: str) -> None:
    base, head, folder, expected = CASES[name]

    found = pull(repo, base, head, Options(configuration=f"{folder}/validator.yml".lstrip("/")))

    assert kinds(found) == expected


def test_neither_service_is_merged_into_the_other(repo: Repo) -> None:
    found = pull(
        repo,
        {"a/requirements.txt": OLD + "tensorflow-cpu==2.17.1\n", "b/requirements.txt": "keras==3.4.1\ntensorflow-cpu==2.16.2\n"},
        {"a/requirements.txt": NEW + "tensorflow-cpu==2.17.1\n", "b/requirements.txt": NEW},
        Options(configuration="a/validator.yml"),
    )  # fmt: skip

    assert found.base.requirements == ("keras==3.3.3", "tensorflow-cpu==2.17.1")
    assert found.head.requirements == ("keras==3.5.0", "tensorflow-cpu==2.17.1")


def test_projects_that_are_as_near_are_named(repo: Repo) -> None:
    found = pull(
        repo,
        {"a/requirements.txt": OLD, "b/Pipfile": "[packages]\nkeras = '==3.3.3'\n"},
        {"a/requirements.txt": NEW},
    )

    assert found.upgrade.undecided == (AmbiguousReason(manifests=("a/requirements.txt", "b/Pipfile")),)


def test_the_configuration_can_name_the_framework_itself(repo: Repo) -> None:
    found = pull(repo, {"README.md": "a"}, {"README.md": "b"}, Options(named=("base", "head")))

    assert kinds(found) == ["irrelevant"]


@pytest.mark.parametrize(
    ("manifest", "text", "lock", "locked", "command"),
    [
        ("pyproject.toml", project("keras=={}"), "uv.lock", "version = 1\nrequires-python = '>=3.9'\n[[package]]\nname = 'w'\nsource = {{virtual = '.'}}\ndependencies = [{{name = 'keras'}}]\n[[package]]\nname = 'keras'\nversion = '{}'\nsource = {{registry = 'https://pypi.org/simple'}}\n", "uv lock"),
        ("pyproject.toml", "[tool.poetry.dependencies]\npython = '>=3.9'\nkeras = '{}'\n", "poetry.lock", "[[package]]\nname = 'keras'\nversion = '{}'\ngroups = ['main']\n", "poetry lock"),
        ("pyproject.toml", project("keras~={}"), "pdm.lock", "[[package]]\nname = 'keras'\nversion = '{}'\ngroups = ['default']\n", "pdm lock"),
        ("Pipfile", "[packages]\nkeras = '=={}'\n", "Pipfile.lock", '{{"default": {{"keras": {{"version": "=={}"}}}}}}', "pipenv lock"),
        ("requirements.in", "keras>={}\n", "requirements.txt", "keras=={}\n", "uv pip compile requirements.in --output-file requirements.txt"),
        ("ml/requirements.in", "keras>={}\n", "ml/requirements.txt", "keras=={}\n", "cd ml && uv pip compile requirements.in --output-file requirements.txt"),
    ],
)  # fmt: skip
def test_a_lock_that_was_left_behind(
    repo: Repo, manifest: str, text: str, lock: str, locked: str, command: str
) -> None:
    base: Files = {manifest: text.format("3.3.3"), lock: locked.format("3.3.3")}

    found = pull(repo, base, {manifest: text.format("3.5.0")})

    (reason,) = found.upgrade.undecided
    assert isinstance(reason, StaleLockReason)
    assert (reason.package, reason.locked, reason.lock, reason.manifest) == ("keras", "3.3.3", lock, manifest)
    assert reason.command == command


def test_a_lock_that_follows_its_manifest_is_fine(repo: Repo) -> None:
    def files(keras: str) -> Files:
        return {
            "requirements.in": f"keras>={keras}\nsix\n",
            "requirements.txt": f"keras=={keras}\nsix==1.16\n",
        }

    assert kinds(pull(repo, files("3.3.3"), files("3.5.0"))) == ["package"]


def test_a_lock_that_was_stale_before_stops_no_other_change(repo: Repo) -> None:
    base: Files = {"requirements.in": "keras>=3.5\n", "requirements.txt": OLD}

    assert kinds(pull(repo, base, {"README.md": "x"})) == ["irrelevant"]


PYTHONS: dict[str, tuple[Files, str]] = {
    "the default": ({"pyproject.toml": project("keras==3.5.0", more="requires-python = '>=3.9'\n")}, "3.11"),
    "above it": ({"pyproject.toml": project("keras==3.5.0", more="requires-python = '>=3.12'\n")}, "3.12"),
    "below it": ({"pyproject.toml": project("keras==3.5.0", more="requires-python = '<3.11,>=3.8'\n")}, "3.10"),
    "one release": ({"pyproject.toml": project("keras==3.5.0", more="requires-python = '==3.12.*'\n")}, "3.12"),
    "of Poetry": ({"pyproject.toml": "[tool.poetry.dependencies]\npython = '^3.12'\nkeras = '3.5.0'\n"}, "3.12"),
    "of setup.cfg": ({"setup.cfg": CFG.replace(">=3.9", "~=3.12.0") + "install_requires = keras==3.5.0\n"}, "3.12"),
    "of conda": ({"environment.yml": "dependencies: ['python>=3.12', keras=3.5.0]\n"}, "3.12"),
    "of a pyproject.toml beside": ({**READ, "pyproject.toml": "[project]\nname = 'w'\nversion = '1'\nrequires-python = '>=3.13'\n"}, "3.13"),
    "of .python-version above": ({"a/requirements.txt": NEW, ".python-version": "3.10\n"}, "3.10"),
}  # fmt: skip


@pytest.mark.parametrize("name", PYTHONS)
def test_the_project_chooses_the_python(repo: Repo, name: str) -> None:
    files, python = PYTHONS[name]

    found = pull(repo, files, {"README.md": "x"}, Options(default_python="3.11"))

    assert (found.base.python, found.head.python) == (python, python)


def test_a_python_that_the_project_does_not_allow_is_reported(repo: Repo) -> None:
    def files(keras: str) -> Files:
        return {"pyproject.toml": project(f"keras=={keras}", more="requires-python = '>=3.12'\n")}

    found = pull(repo, files("3.3.3"), files("3.5.0"), Options(python="3.11"))

    assert found.upgrade.undecided == (
        PythonMismatchReason(python="3.11", required=">=3.12", manifest="pyproject.toml"),
    )


REFERENCES: list[tuple[Any, ...]] = [
    ("requirements.txt", "{}\n", "keras @ git+https://git.example.org/keras@v{}"),
    ("requirements.txt", "{}\n", "git+https://git.example.org/keras.git@v{}"),
    ("requirements.txt", "{}\n", "./wheels/keras-{}-py3-none-any.whl"),
    ("requirements.txt", "{}\n", "https://packages.example.org/keras-{}-py3-none-any.whl"),
    ("environment.yml", "dependencies:\n- pip:\n  - {}\n", "keras @ https://packages.example.org/keras-{}-py3-none-any.whl"),
    ("pyproject.toml", project("{}"), "keras @ git+https://git.example.org/keras@v{}"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "reference"), REFERENCES)
def test_a_reference_is_kept_as_it_is_written(repo: Repo, name: str, text: str, reference: str) -> None:
    old, new = reference.format("3.3.3"), reference.format("3.5.0")

    found = pull(repo, {name: text.format(old)}, {name: text.format(new)})

    assert found.upgrade.undecided == ()
    assert found.upgrade.relevant
    assert (found.base.requirements, found.head.requirements) == ((old,), (new,))


def test_the_sources_of_uv_are_where_packages_come_from(repo: Repo) -> None:
    sources = "[tool.uv.sources]\nkeras = {{git = 'https://git.example.org/keras', tag = 'v{}'}}\n"

    found = pull(
        repo,
        {"pyproject.toml": project("keras", more=sources.format("3.3.3"))},
        {"pyproject.toml": project("keras", more=sources.format("3.5.0"))},
    )

    assert found.head.requirements == ("keras @ git+https://git.example.org/keras@v3.5.0",)


def test_hashes_are_kept_with_the_version_that_they_belong_to(repo: Repo) -> None:
    digest = "sha256:" + "ab" * 32
    found = pull(repo, {"requirements.txt": OLD}, {"requirements.txt": f"keras==3.5.0 --hash={digest}\n"})

    assert found.head.hashes == {"keras==3.5.0": (digest,)}
    assert found.head.requirements == ("keras==3.5.0",)
