"""Each kind of manifest, read out of a commit: what it says, and what is refused."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.utils import canonicalize_name

from tests.upgrade import samples
from tests.upgrade.conftest import Files, Reading, Repo
from validator.errors import ConfigurationError
from validator.upgrade.manifest import DependencyManifest, Kind, Pin, Source, kind_of
from validator.upgrade.reader import read as parse
from validator.upgrade.text import MAX_BYTES, show


def pins(manifest: DependencyManifest) -> dict[str, Pin]:
    return {pin.name: pin for pin in manifest.pins}


REQUIREMENTS = """\
# top
--index-url https://user:pw@index.example/simple
--extra-index-url=https://b.example/simple
-f ./wheels
-f https://c.example/wheels
keras==3.3.3 \\
    --hash=sha256:aaaabbbbaaaabbbbaaaabbbbaaaabbbbaaaabbbbaaaabbbbaaaabbbbaaaabbbb \\
    --hash=sha256:aaaabbbbaaaabbbbaaaabbbbaaaabbbbaaaabbbbaaaabbbbaaaabbbbaaaabbb0
    # via foo
NumPy >= 1.26, <2 ; python_version < "3.12"  # comment
tensorflow[and-cuda]==2.17.1
git+https://github.com/a/b.git@main
flax==0.8 --config-settings=a=b
ml_dtypes===0.4.0
h5py==3.11.*
--pre
"""


def test_requirements_with_markers_hashes_extras_continuations_and_options(read: Reading) -> None:
    manifest = read({"sub/requirements.txt": REQUIREMENTS}, "sub/requirements.txt")

    found = pins(manifest)
    assert {name: (pin.version, pin.line) for name, pin in found.items()} == {
        "keras": ("3.3.3", 6),
        "numpy": (None, 10),
        "tensorflow": ("2.17.1", 11),
        "b": (None, 12),
        "flax": ("0.8", 13),
        "ml-dtypes": ("0.4.0", 14),
        "h5py": (None, 15),
    }
    assert found["keras"].text == "keras==3.3.3"
    assert found["keras"].hashes == (f"sha256:{'aaaabbbb' * 8}", f"sha256:{'aaaabbbb' * 7}aaaabbb0")
    assert (found["numpy"].specifier, found["numpy"].marker) == ("<2,>=1.26", 'python_version < "3.12"')
    assert found["tensorflow"].text == "tensorflow[and-cuda]==2.17.1"
    assert found["b"].url
    assert not manifest.closed
    assert manifest.index.index_url == "https://user:pw@index.example/simple"
    assert manifest.index.find_links == ("sub/wheels", "https://c.example/wheels")
    assert manifest.index.prereleases


def test_requirements_in_which_every_line_has_its_hash_are_final(read: Reading) -> None:
    text = "keras==3.3.3 --hash=sha256:" + "a" * 64 + "\n"
    assert read({"requirements.txt": text}, "requirements.txt").closed


def test_includes_keep_the_file_and_line_of_each_requirement(read: Reading) -> None:
    manifest = read(
        {
            "requirements/prod.txt": "-r ../base.txt\n-c limits.txt\nsix\n",
            "base.txt": "\nkeras==3.3.3\n-c requirements/limits.txt\n",
            "requirements/limits.txt": "numpy==1.26.4\n",
        },
        "requirements/prod.txt",
    )

    assert {(pin.name, pin.manifest, pin.line) for pin in manifest.pins} == {
        ("keras", "base.txt", 2),
        ("six", "requirements/prod.txt", 3),
    }
    assert {(pin.name, pin.manifest) for pin in manifest.constraints} == {
        ("numpy", "requirements/limits.txt")
    }
    assert manifest.includes == ("base.txt", "requirements/limits.txt")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("-r ../../etc/passwd", "outside the repository"),
        ("-r /etc/passwd", "outside the repository"),
        ("-r C:\\secrets.txt", "only files of the repository|outside the repository"),
        ("-c https://example.org/limits.txt", "only files of the repository"),
        ("-r missing.txt", "missing.txt, which does not exist"),
        ("-r requirements.txt", "includes itself"),
        ("-f ../../wheels", "outside the repository"),
        ("keras --index-url https://evil.example/simple", "not a requirement"),
        ("keras==3.5.0 --extra-index-url https://evil.example", "not a requirement"),
        ("keras=3.5.0", "not a requirement"),
        ("keras == ", "not a requirement"),
        ("--no-such-option", "no such option"),
        ("-e", "not a requirement"),
        ("keras ==3.5.0; os_name ==", "not a requirement"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(read: Reading, line: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"requirements\.txt@head.*({words})"):
        read({"requirements.txt": f"six\n{line}\n"}, "requirements.txt")


@pytest.mark.parametrize(
    "data",
    [
        b"keras==3.3.3\r\nsix\r\n",
        codecs.BOM_UTF8 + b"keras==3.3.3\n",
        "keras==3.3.3\n".encode("utf-16"),
        codecs.BOM_UTF16_BE + "keras==3.3.3\n".encode("utf-16-be"),
        "keras==3.3.3\n".encode("utf-32"),
    ],
    ids=["CRLF", "UTF-8 BOM", "UTF-16", "UTF-16-BE", "UTF-32"],
)
def test_every_usual_encoding_is_read(read: Reading, data: bytes) -> None:
    assert pins(read({"requirements.txt": data}, "requirements.txt"))["keras"].version == "3.3.3"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"keras==3.3.3 # \xe9\n", "not UTF-8 text"),
        (b"keras\0==3\n", "NUL"),
        (b"#" * (MAX_BYTES + 1), "is too large; a manifest may have 5,000,000 bytes"),
    ],
)
def test_bytes_that_are_no_manifest(read: Reading, data: bytes, words: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"requirements\.txt@head .*{words}|{words}"):
        read({"requirements.txt": data}, "requirements.txt")


def test_symbolic_links_are_followed_inside_the_repository(repo: Repo, read: Reading) -> None:
    repo.write({"shared/common/ml.txt": "keras==3.3.3\n-r more.txt\n", "shared/common/more.txt": "six\n"})
    (repo.folder / "requirements.txt").symlink_to("common/ml.txt")
    (repo.folder / "common").symlink_to("shared/common")

    assert set(pins(read({"more.txt": "numpy\n"}, "requirements.txt"))) == {"keras", "numpy"}


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("/etc/passwd", "outside the repository"),
        ("../../etc/passwd", "outside the repository"),
        ("requirements.txt", "in a circle"),
        ("nowhere.txt", "does not exist"),
    ],
)
def test_symbolic_links_lead_nowhere_else(repo: Repo, read: Reading, target: str, words: str) -> None:
    (repo.folder / "requirements.txt").symlink_to(target)
    with pytest.raises(ConfigurationError, match=words):
        read({}, "requirements.txt")


PYPROJECT = """\
[project]
name = "demo"
version = "0"
requires-python = ">=3.10"
dependencies = [
  "keras>=3.3",
  'numpy<2',
]

[project.optional-dependencies]
ML = ["tensorflow==2.17.1"]

[dependency-groups]
base = ["h5py"]
dev = ["pytest", {include-group = "base"}]

[tool.uv]
constraint-dependencies = ["ml-dtypes<0.5"]
find-links = ["https://d.example/wheels"]

[[tool.uv.index]]
url = "https://a.example/simple"
default = true

[[tool.uv.index]]
name = "torch"
url = "https://b.example/simple"
"""


def test_pyproject_with_extras_groups_and_indexes(read: Reading) -> None:
    manifest = read({"pyproject.toml": PYPROJECT}, "pyproject.toml")

    assert [(pin.name, pin.specifier, pin.sections, pin.line) for pin in manifest.pins] == [
        ("keras", ">=3.3", (), 6),
        ("numpy", "<2", (), 7),
        ("tensorflow", "==2.17.1", ("extra:ml",), 11),
        ("h5py", "", ("group:base",), 14),
        ("pytest", "", ("group:dev",), 15),
        ("h5py", "", ("group:dev",), 14),
    ]
    assert [pin.text for pin in manifest.constraints] == ["ml-dtypes<0.5"]
    assert manifest.requires_python == ">=3.10"
    assert manifest.index.index_url == "https://a.example/simple"
    assert manifest.index.extra_index_urls == ("https://b.example/simple",)


def test_poetrys_ranges(read: Reading) -> None:
    text = """
[tool.poetry.dependencies]
python = "^3.10"
keras = "^3.3"
numpy = [
  {version = "~1.24", python = "<3.11"},
  {version = "1.26.*", markers = "python_version >= '3.11'"},
]
tensorflow = {version = "2.17.1", extras = ["and-cuda"]}
jax = {git = "https://github.com/google/jax.git", tag = "v0.4"}
own = {path = "../own"}
odd = ">=1,<2 || >3"

[tool.poetry.group.test.dependencies]
pytest = "*"

[[tool.poetry.source]]
name = "private"
url = "https://p.example/simple"
priority = "supplemental"
"""
    manifest = read({"a/pyproject.toml": text}, "a/pyproject.toml")

    texts = [pin.text for pin in manifest.pins]
    assert texts[0] == "keras<4.0,>=3.3"
    assert texts[1:3] == [
        'numpy<1.25,>=1.24; python_version < "3.11"',
        'numpy==1.26.*; python_version >= "3.11"',
    ]
    assert texts[3:6] == [
        "tensorflow[and-cuda]==2.17.1",
        "jax @ git+https://github.com/google/jax.git@v0.4",
        "own",
    ]
    found = pins(manifest)
    assert found["own"].local
    assert (found["odd"].text, found["odd"].specifier) == ("odd", ">=1,<2 || >3")
    assert found["pytest"].sections == ("group:test",)
    assert manifest.requires_python == "^3.10"
    assert manifest.index.extra_index_urls == ("https://p.example/simple",)


def test_the_locks_of_poetry_and_pipenv_with_their_sections_and_lines(read: Reading) -> None:
    poetry = read({"poetry.lock": samples.poetry_lock("3.3.3")}, "poetry.lock")
    pipenv = read({"Pipfile.lock": samples.pipfile_lock("3.3.3")}, "Pipfile.lock")

    assert [(pin.text, pin.sections, pin.line) for pin in poetry.pins] == [
        ("iniconfig==2.0.0", ("group:dev",), 5),
        ("keras==3.3.3", (), 14),
        ('numpy==1.26.4 ; python_version >= "3.10" or python_version >= "3.9"', (), 26),
    ]
    assert [pin.direct for pin in poetry.pins] == [True, True, False]
    assert [(pin.text, pin.sections, pin.line) for pin in pipenv.pins] == [
        ('keras==3.3.3 ; python_version >= "3.9"', (), 21),
        ('numpy==1.26.4 ; python_version >= "3.9"', (), 26),
        ("iniconfig==2.0.0", ("group:dev-packages",), 32),
    ]
    assert pipenv.python == "3.11"
    assert pipenv.index.index_url is None


def test_a_uv_lock_with_forks_direct_packages_and_lines(read: Reading) -> None:
    manifest = read({"uv.lock": samples.uv_lock("3.3.3")}, "uv.lock")

    assert [(pin.name, pin.version, pin.direct) for pin in manifest.pins] == [
        ("iniconfig", "2.0.0", True),
        ("keras", "3.3.3", True),
        ("numpy", "1.24.4", False),
        ("numpy", "1.26.4", False),
        ("six", "1.16.0", True),
        ("tensorflow-intel", "2.17.1", True),
    ]
    line = pins(manifest)["keras"].line
    assert line is not None
    assert samples.uv_lock("3.3.3").split("\n")[line - 1] == 'version = "3.3.3"'


def test_the_sources_of_a_uv_lock(read: Reading) -> None:
    text = """version = 1
[[package]]
name = "a"
version = "1"
source = { git = "https://github.com/o/a?subdirectory=py&rev=main#0123" }
[[package]]
name = "b"
version = "1"
source = { url = "https://example.org/b.whl" }
[[package]]
name = "c"
version = "1"
source = { editable = "../c" }
[[package]]
name = "d"
version = "1"
source = { registry = "https://p.example/simple" }
"""
    manifest = read({"uv.lock": text}, "uv.lock")

    assert [pin.text for pin in manifest.pins] == [
        "a @ git+https://github.com/o/a@0123#subdirectory=py",
        "b @ https://example.org/b.whl",
        "d==1",
    ]
    assert manifest.index.extra_index_urls == ("https://p.example/simple",)


def test_condas_spellings(read: Reading) -> None:
    text = """name: demo
dependencies:
  - python=3.11
  - conda-forge::keras=3.3.3
  - tensorflow=2.17=cpu_py311
  - pytorch==2.4.1
  - numpy >=1.26,<2
  - scipy 1.14.1
  - h5py
  - libhdf5=1.14
  - _openmp_mutex=5.1
  - pip
  - pip:
    - -r ml.txt
    - --extra-index-url https://p.example/simple
    - flax==0.8.5
"""
    manifest = read({"environment.yml": text, "ml.txt": "optree==0.12\n"}, "environment.yml")

    assert {pin.text: (pin.version, pin.line, pin.manifest) for pin in manifest.pins} == {
        "keras==3.3.3.*": ("3.3.3", 4, "environment.yml"),
        "tensorflow==2.17": ("2.17", 5, "environment.yml"),
        "torch==2.4.1": ("2.4.1", 6, "environment.yml"),
        "numpy<2,>=1.26": (None, 7, "environment.yml"),
        "scipy==1.14.1": ("1.14.1", 8, "environment.yml"),
        "h5py": (None, 9, "environment.yml"),
        "flax==0.8.5": ("0.8.5", 16, "environment.yml"),
        "optree==0.12": ("0.12", 1, "ml.txt"),
    }
    assert manifest.python == "3.11"
    assert manifest.index.extra_index_urls == ("https://p.example/simple",)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        (
            "pyproject.toml",
            '[project]\ndependencies = ["keras"',
            r"pyproject\.toml@head:2 is not valid TOML: Unclosed array",
        ),
        ("pyproject.toml", '[project]\ndependencies = "keras"', r"project\.dependencies: "),
        ("pyproject.toml", "[project]\ndependencies = [1]", r"project\.dependencies\.0: "),
        ("pyproject.toml", "project = 1", "project: "),
        (
            "pyproject.toml",
            '[project]\ndependencies = ["a",\n"keras=3"]',
            r"pyproject\.toml@head:3: 'keras=3' is not",
        ),
        (
            "pyproject.toml",
            '[dependency-groups]\na = [{include-group = "a"}]',
            "dependency-groups cannot be read",
        ),
        ("pyproject.toml", '[dependency-groups]\na = "keras"', "dependency-groups cannot be read"),
        ("pyproject.toml", "[tool.poetry.dependencies]\nkeras = 'latest'", "'latest' is not a requirement"),
        ("pyproject.toml", "[tool.poetry.dependencies]\nkeras = true", r"keras\.version: "),
        ("pyproject.toml", "a = " + "[" * 5000 + "]" * 5000, "nested too deeply|not valid TOML"),
        ("uv.lock", "version = 9", "lock version 9"),
        ("uv.lock", 'version = 1\n[[package]]\nname = "a"', "has no version"),
        (
            "uv.lock",
            'version = 1\n[[package]]\nname = "a\\n--index-url x"\nversion = "1"',
            "not the name of a package",
        ),
        ("uv.lock", 'version = 1\n[[package]]\nname = "a"\nversion = "1 --index-url x"', "is not a version"),
        (
            "uv.lock",
            'version = 1\n[[package]]\nname = "a"\nversion = "1"\nsource = { url = "x\\n--index-url y" }',
            "is not a requirement",
        ),
        ("poetry.lock", '[[package]]\nname = "a"\nversion = "1\\n-r x"', "is not a requirement"),
        ("pylock.toml", 'lock-version = "1.0"', "not a valid pylock.toml"),
        ("pylock.toml", 'lock-version = "7.0"\ncreated-by = "x"\npackages = []', "not a valid pylock.toml"),
        ("Pipfile.lock", '{"default": {\n"a": }}', r"Pipfile\.lock@head:2 is not valid JSON"),
        ("Pipfile.lock", "[" * 100_000, "not usable JSON|not valid JSON"),
        ("Pipfile.lock", "[]", "must be a table"),
        ("Pipfile.lock", '{"default": {"a --index-url x": {"version": "==1"}}}', "not the name of a package"),
        ("Pipfile.lock", '{"default": {"a": {"version": "==1", "markers": "?"}}}', r"Pipfile\.lock@head: "),
        ("environment.yml", "dependencies: [a\n", r"environment\.yml@head:2 is not valid YAML"),
        ("environment.yml", "- a", "must be a mapping"),
        (
            "environment.yml",
            "dependencies:\n- a: &x [*x]\n- '\"; rm'",
            r"environment\.yml@head:3: .* conda requirement",
        ),
        ("environment.yml", "dependencies:\n- [a]", r"environment\.yml@head:2: a dependency is text"),
        (
            "environment.yml",
            "dependencies:\n- pip: ['keras --index-url x']",
            r"environment\.yml@head:2 is not a requirement",
        ),
        ("environment.yml", 'dependencies:\n- pip: ["keras\\n--index-url https://x"]', "not a requirement"),
        ("environment.yml", "dependencies:\n- pip: [-r gone.txt]", "gone.txt, which does not exist"),
        ("environment.yml", "[" * 5000, "nested too deeply|not valid YAML"),
    ],
)
def test_a_manifest_that_cannot_be_used_is_named_with_its_place(
    read: Reading, name: str, text: str, words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words):
        read({name: text}, name)


def test_a_yaml_bomb_costs_what_it_weighs(read: Reading) -> None:
    levels = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 40))
    text = f"a0: &a0 [x, x]\n{levels}\ndependencies:\n  - keras=3.3.3\n"

    assert pins(read({"environment.yml": text}, "environment.yml"))["keras"].version == "3.3.3"


def test_a_yaml_tag_runs_nothing(repo: Repo, read: Reading) -> None:
    text = "dependencies:\n- !!python/object/apply:os.system ['touch pwned']\n- keras\n"
    with pytest.raises(ConfigurationError, match=r"environment\.yml@head:2"):
        read({"environment.yml": text}, "environment.yml")
    assert not (repo.folder / "pwned").exists()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("requirements.txt", "requirements"),
        ("a/requirements-dev.in", "requirements"),
        ("gpu_requirements.txt", "requirements"),
        ("requirements/prod.txt", "requirements"),
        ("constraints.txt", "constraints"),
        ("requirements-constraints.txt", "constraints"),
        ("pyproject.toml", "pyproject"),
        ("pylock.gpu.toml", "pylock"),
        ("uv.lock", "uv-lock"),
        ("Pipfile.lock", "pipfile-lock"),
        ("environment-gpu.yaml", "conda"),
        (".python-version", "python-version"),
        ("node_modules/x/requirements.txt", None),
        ("requirements.md", None),
        ("uv.lock.bak", None),
        ("package-lock.json", None),
    ],
)
def test_kinds_by_name(path: str, kind: Kind | None) -> None:
    assert kind_of(path) == kind


class Memory:
    """Files that are not in a repository, for the fuzzers."""

    def __init__(self, files: Files) -> None:
        self.files = files

    def exists(self, name: str) -> bool:
        return name in self.files

    def source(self, name: str) -> Source:
        return Source(path=name, text=str(self.files[name]), where=f"{name}@head")


names = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,10}[A-Za-z0-9])?", fullmatch=True)
versions = st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){0,3}((a|b|rc)[0-9])?", fullmatch=True)
noise = st.sampled_from(["", "# comment", "   ", "  # --index-url https://evil.example"])


@settings(deadline=None)  # the first example imports a parser
@given(st.lists(st.tuples(names, versions, noise, st.booleans()), min_size=1, max_size=8))
def test_any_pinned_line_is_read_back_with_its_line_number(lines: list[tuple[str, str, str, bool]]) -> None:
    text, expected, number = "", [], 1
    for name, version, comment, split in lines:
        text += f"{comment}\n"
        break_here = " \\\n    " if split else ""
        text += f"{name}=={version}{break_here} --hash=sha256:{'a' * 64}  # why\n"
        expected.append((canonicalize_name(name), number + 1))
        number += 3 if split else 2

    manifest = parse("requirements", Source(path="r.txt", text=text, where="r.txt"), Memory({}))

    assert [(pin.name, pin.line) for pin in manifest.pins] == expected
    assert manifest.closed


words = [
    *(
        "keras",
        "==",
        "3.5.0",
        "\n",
        " ",
        "\\",
        "-r ",
        "-e ",
        "--hash=",
        "[",
        "]",
        "{",
        "}",
        '"',
        "'",
        ";",
        "#",
        "@",
    ),
    *("=", ",", ":", "git+https://", "u:p@", "\r", "\x0c", "\u2028", "\u202e", "dependencies", "- ", "pip"),
    *("[[package]]", "[project]", "version = 1", 'name = "a"', "<<", "*a", "&a"),
]
hostile = st.one_of(st.text(max_size=200), st.lists(st.sampled_from(words), max_size=25).map("".join))


@pytest.mark.parametrize(
    "kind",
    [
        "requirements",
        "constraints",
        "pyproject",
        "pylock",
        "uv-lock",
        "poetry-lock",
        "pipfile",
        "pipfile-lock",
        "conda",
        "python-version",
    ],
)
@settings(deadline=None)
@given(text=hostile)
def test_any_text_is_read_or_refused_with_a_sentence(kind: Kind, text: str) -> None:
    try:
        manifest = parse(kind, Source(path="m", text=text, where="m@head"), Memory({}))
    except ConfigurationError as error:
        message = str(error)
        assert "\n" not in message
        assert "m@head" in message
        return
    for pin in manifest.pins:
        assert len(pin.text.splitlines()) == 1
        assert not pin.text.startswith("--")


@settings(deadline=None)
@given(st.text(max_size=400))
def test_what_is_shown_is_one_short_line(text: str) -> None:
    assert len(show(text)) <= 200
    assert len(show(text).splitlines()) <= 1
