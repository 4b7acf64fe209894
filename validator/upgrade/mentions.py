"""What a file that cannot be read without running it says about frameworks: as written, version and all.

A mention is a package with a version (`keras==3.5.0`, `tensorflow/tensorflow:2.17.0`), or its bare name in a
command that installs. Where the version is a variable, the lines that set it belong to the mention.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import yaml
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from validator.errors import ConfigurationError
from validator.upgrade.relevant import FRAMEWORKS
from validator.upgrade.text import compose_yaml

_NAMES = FRAMEWORKS | {"numpy", "jaxlib", "pytorch"}
_WRITTEN = r"""(?:\$\{\{[^}]*\}\}|\$\{[^}]*\}|\$\([^)]*\)|[^\s"'`;|&)\]}])+"""
# A package's name behind the path of an image, its extras, and what chooses its version.
_MENTION = re.compile(
    r"(?<![\w.$/{-])(?:[\w.-]+/)*(?P<name>[A-Za-z][A-Za-z0-9]*(?:[-_.][A-Za-z0-9]+)*)(?:\[[\w,\s-]*\])?"
    rf"""(?P<version>\s*(?::=|\?=|[=<>!~]=?=?|@)\s*["']?{_WRITTEN}|:{_WRITTEN})?"""
)
# .../keras-3.5.0-py3-none-any.whl, .../keras.git@v3.5.0
_ADDRESS = re.compile(r"""/(?P<name>[A-Za-z]\w*?)(?P<version>-\d[^\s"']*|(?:\.git)?@[^\s"']+)""")
_INSTALLS = re.compile(
    r"\b(pip[\d.]*|uv|pipx|conda|mamba|micromamba|poetry|pdm|rye|pipenv|easy_install)\b"
    r".*\b(install|add|create)\b|^FROM\s|\.install\(",
    re.IGNORECASE,
)
_VARIABLE = re.compile(r"\$\{\{\s*(?:[\w-]+\.)*([\w-]+)|\$[{(]?([A-Za-z_]\w*)")
_SUFFIX = re.compile(r"[-_](version|ver|pin|spec|tag|requirement)s?$", re.IGNORECASE)
#: Arguments of setup() that install nothing.
_NO_REQUIREMENTS = frozenset(
    {"name", "version", "description", "long_description", "keywords", "classifiers", "packages", "url"}
)
_ROUNDS = 4  # variables that stand for variables
_WIDEST = 20_000  # characters of a line
_DEEPEST = 40


class Mention(NamedTuple):
    """A package that a file names, and how: `==3.5.0`, a tag, an address, or nothing."""

    name: str
    text: str

    def __str__(self) -> str:
        """The mention as it is written."""
        return self.text if self.name in self.text.lower() else f"{self.name}{self.text}"

    def allows(self, version: str) -> bool:
        """Whether what is written allows a version; False where that is not known."""
        tag = re.match(r":v?(\d+(?:\.\d+)+)(?:$|-)", self.text)
        if tag is not None:
            return tag[1] == version
        try:
            return SpecifierSet(re.sub(r"^=(?=\d)", "==", self.text)).contains(version, prereleases=True)
        except InvalidSpecifier:
            return False


def mentions(text: str, name: str) -> frozenset[Mention]:
    """Return the frameworks that a file names, by its text and its own name."""
    if name.endswith(".py"):
        return frozenset(_of_python(text))
    lines = list(_document(text, name) if name.endswith((".yml", ".yaml", ".json")) else _logical(text))
    return frozenset(_of_lines(lines, lines))


def _of_lines(lines: Iterable[str], every: list[str]) -> Iterator[Mention]:
    for line in lines:
        installs = _INSTALLS.search(line) is not None
        for match in (*_MENTION.finditer(line), *_ADDRESS.finditer(line)):
            name = canonicalize_name(match["name"])
            version = re.sub(r"[\s\"']", "", match["version"] or "").rstrip(",")
            if name in _NAMES and (version or installs):
                yield Mention(name, version)
                yield from (Mention(name, each) for each in _setting(_variables(version), every))
            # KERAS_VERSION=3.5.0, whether or not a command with it is in sight
            assigned = canonicalize_name(_SUFFIX.sub("", match["name"]))
            if assigned in _NAMES and assigned != name and not line.startswith("RUN "):
                yield Mention(assigned, line)


def _setting(names: set[str], lines: list[str]) -> set[str]:
    """Return the lines that set variables, and those that these stand for."""
    reached: set[str] = set()
    for _ in range(_ROUNDS):
        patterns = [rf"\b{re.escape(name)}\s*[:?]?[:=]|^(ARG|ENV)\s+{re.escape(name)}\b" for name in names]
        more = {line for line in lines if any(re.search(pattern, line) for pattern in patterns)}
        if more <= reached:
            break
        reached |= more
        names = {name for line in more for name in _variables(line)}
    return reached


def _variables(text: str) -> set[str]:
    return {name for match in _VARIABLE.finditer(text) for name in match.groups() if name}


def _logical(text: str) -> Iterator[str]:
    """Yield lines as a shell reads them: joined where they go on, without comments and spare blanks."""
    bare = re.sub(r"^\s*(#|//).*\n?", "", text, flags=re.MULTILINE)
    for line in re.sub(r"\\[ \t]*\n", " ", bare).split("\n"):
        words = " ".join(re.sub(r"\s(#|//)\s.*", "", line[:_WIDEST]).split())
        if words:
            yield words


def _document(text: str, name: str) -> Iterator[str]:
    """Yield each value of a YAML or JSON text with its key; the lines of a text that is neither."""
    try:
        root = compose_yaml(text, name)
    except ConfigurationError:
        yield from _logical(text)
        return
    if root is not None:
        yield from _below(root, "")


def _below(node: yaml.Node, key: str, depth: int = 0) -> Iterator[str]:
    if depth > _DEEPEST or key == "uses":  # an action of GitHub at its revision
        return
    if isinstance(node, yaml.MappingNode):
        values = {str(name.value): value for name, value in node.value if isinstance(name, yaml.ScalarNode)}
        package, version = (str(values[each].value) if each in values else "" for each in ("name", "version"))
        if canonicalize_name(package) in _NAMES and version:  # an entry of a lock
            yield f"{package}=={version}"
        for name, value in values.items():
            yield from _below(value, name, depth + 1)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _below(value, key, depth + 1)
    elif "\n" in str(node.value):
        yield from _logical(str(node.value))
    elif canonicalize_name(key) in _NAMES and re.match(r"[\d^~<>=!*]", str(node.value)):
        yield re.sub(r"=(?=[<>=!~])", "", f"{key}={node.value}", count=1)
    else:
        yield f"{key}: {node.value}"


def _of_python(text: str) -> Iterator[Mention]:
    """Yield what the strings of a Python file name, with the expressions that a version is computed by."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        lines = list(_logical(text))
        yield from _of_lines(lines, lines)
        return
    skipped = {id(each) for node in _idle(tree) for each in ast.walk(node)}
    nodes = [node for node in ast.walk(tree) if id(node) not in skipped]
    assigned = [ast.unparse(node) for node in nodes if isinstance(node, ast.Assign | ast.AnnAssign)]
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from _of_lines([f"pip install {node.value[:_WIDEST]}"], [])
        elif isinstance(node, ast.JoinedStr | ast.BinOp | ast.Call):
            yield from _computed(node, assigned)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            yield from (each for each in _of_lines([ast.unparse(node)], []) if "=" in each.text[1:])


def _idle(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the parts that install nothing: documentation, and the metadata of a project."""
    for node in ast.walk(tree):
        documentation = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if documentation or (isinstance(node, ast.keyword) and node.arg in _NO_REQUIREMENTS):
            yield node


def _computed(node: ast.AST, assigned: list[str]) -> Iterator[Mention]:
    """Yield an expression that puts a requirement together, and the assignments to the names in it."""
    if isinstance(node, ast.Call) and not (
        isinstance(node.func, ast.Attribute) and node.func.attr == "format"
    ):
        return
    strings = (each.value for each in ast.walk(node) if isinstance(each, ast.Constant))
    lines = [f"pip install {text}" for text in strings if isinstance(text, str)]
    names = {each.name for each in _of_lines(lines, [])}
    variables = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
    for name in names:
        yield Mention(name, ast.unparse(node))
        yield from (Mention(name, line) for line in _setting(variables, assigned))
