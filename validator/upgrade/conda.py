"""environment.yml: conda's names and versions, and the pip list inside."""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from validator.errors import ConfigurationError
from validator.upgrade.manifests import Files, Manifest, Pin, Source, pin_from
from validator.upgrade.requirement_files import requirement_pins
from validator.upgrade.text import compose_yaml, show

#: conda-forge's name → PyPI's, where they differ among the packages a Keras project has.
PYPI_NAMES = {
    "pytorch": "torch",
    "pytorch-cpu": "torch",
    "pytorch-gpu": "torch",
    "tensorflow-base": "tensorflow",
    "tensorflow-gpu": "tensorflow",
    "tensorflow-mkl": "tensorflow",
    "tensorflow-eigen": "tensorflow",
    "python-flatbuffers": "flatbuffers",
    "ml_dtypes": "ml-dtypes",
    "matplotlib-base": "matplotlib",
    "numpy-base": "numpy",
    "opencv": "opencv-python",
    "py-opencv": "opencv-python",
}
#: Packages of conda that PyPI does not have, or that an environment brings by itself.
_CONDA_ONLY = re.compile(
    r"^(python|pip|conda|mamba|nodejs|git|make|cmake|ninja|compilers?|gcc|gxx|binutils|openssl|ca-certificates|blas"
    r"|openblas|mkl|nomkl|llvm-openmp|hdf5|zlib|xz|bzip2|sqlite|tk|readline|ncurses|cudatoolkit|cudnn|nccl|cuda"
    r"|pytorch-cuda|pytorch-mutex|nccl|lib.*|_.*|cuda-.*|gcc_.*|gxx_.*|sysroot_.*|r-.*)$"
)
# [channel::]name[version[=build]] in conda's spellings: `name=1.2=build`, `name 1.2 build`, `name>=1,<2`.
_SPEC = re.compile(
    r"^(?:[^\s:]+::)?(?P<name>[A-Za-z0-9_][A-Za-z0-9._-]*)\s*"
    r"(?P<version>[=<>!~][^\s\[#;]*(?:\s*,\s*[=<>!~][^\s\[#;]*)*|\s[\d*][^\s\[#;]*)?(?:\s+\S+)?(?:\[.*\])?$"
)


def parse(source: Source, files: Files) -> Manifest:
    """Return an environment.yml. What PyPI does not have is left out, and a note says so."""
    pins: list[Pin] = []
    pip_lines: list[tuple[int, str]] = []
    left_out: list[str] = []
    python: Pin | None = None
    for section, number, line in _dependencies(source):
        if section == "pip":
            pip_lines.append((number, line))
            continue
        pin = _conda_pin(line, number, source)
        if pin.name == "python":
            python = pin
        elif _CONDA_ONLY.match(pin.name):
            left_out.append(pin.name)
        else:
            pins.append(pin)
    pip_pins, index, includes = requirement_pins(pip_lines, source)
    nested = [_nested(path, source, files) for path in includes]
    for each in nested:
        index += each.index
    version, requires = _python(python)
    return Manifest(
        path=source.path,
        kind="conda",
        pins=(*pins, *pip_pins, *(pin for each in nested for pin in each.pins)),
        constraints=tuple(pin for each in nested for pin in each.constraints),
        index=index,
        python=version,
        python_line=python.line if python is not None else None,
        requires_python=requires,
        includes=includes,
        notes=_notes(source, pins, left_out),
    )


def _notes(source: Source, pins: list[Pin], left_out: list[str]) -> tuple[str, ...]:
    notes = []
    if pins:
        notes.append(f"{show(source.path)}: conda packages are installed from PyPI under the same name")
    if left_out:
        notes.append(f"{show(source.path)}: left out, not on PyPI: {show(', '.join(sorted(left_out)))}")
    return tuple(notes)


def _nested(path: str, source: Source, files: Files) -> Manifest:
    from validator.upgrade.requirement_files import parse as parse_requirements

    if not files.exists(path):
        raise ConfigurationError(f"{source.where} includes {show(path)}, which does not exist.")
    return parse_requirements(files.source(path), files)


def _dependencies(source: Source) -> Iterator[tuple[str, int, str]]:
    root = compose_yaml(source.text, source.where)
    if root is None:
        return
    if not isinstance(root, yaml.MappingNode):
        raise ConfigurationError(f"{source.where} must be a mapping with `dependencies`.")
    for node in _value(root, "dependencies"):
        if isinstance(node, yaml.ScalarNode):
            yield "", node.start_mark.line + 1, node.value.strip()
        elif isinstance(node, yaml.MappingNode):
            for item in _value(node, "pip"):
                if isinstance(item, yaml.ScalarNode):
                    yield "pip", item.start_mark.line + 1, item.value.strip()
        else:
            raise ConfigurationError(
                f"{source.where}:{node.start_mark.line + 1}: a dependency is text, or a mapping with `pip`."
            )


def _value(mapping: yaml.MappingNode, key: str) -> Iterator[yaml.Node]:
    for name, value in mapping.value:
        if isinstance(name, yaml.ScalarNode) and name.value == key and isinstance(value, yaml.SequenceNode):
            yield from value.value


def _conda_pin(line: str, number: int, source: Source) -> Pin:
    match = _SPEC.match(line)
    if match is None:
        raise ConfigurationError(f"{source.where}:{number}: {show(line)!r} is not a conda requirement.")
    # A leading underscore is legal in conda and nowhere else.
    bare = match["name"].lower()
    name = PYPI_NAMES.get(bare, bare) if not bare.startswith("_") else "lib" + bare
    specifier = _pep440((match["version"] or "").strip())
    try:
        pin = pin_from(Requirement(f"{name}{specifier}"), manifest=source.path, line=number)
    except InvalidRequirement:
        raise ConfigurationError(
            f"{source.where}:{number}: the version of {show(line)!r} has no form for PyPI; "
            f"write it as in {name}=1.2.3."
        ) from None
    # `=1.2.3` is fuzzy in conda, yet people write it to mean this version: that is what is compared.
    version = pin.version or _fuzzy(pin.specifier)
    return pin.model_copy(update={"version": version, "name": canonicalize_name(name)})


def _pep440(version: str) -> str:
    """Return the PEP 440 form of conda's version: `=1.2` means 1.2.*, `=1.2=build` and `==1.2` mean 1.2."""
    if not version or version in {"*", "=*", "==*"}:
        return ""
    if version.startswith("=") and not version.startswith("=="):
        number, _, build = version[1:].partition("=")
        number = number.removesuffix(".*").removesuffix("*")
        return f"=={number}" if build and build != "*" else f"=={number}.*"
    if version[0] in "=<>!~":
        # `>=1.2=build` does not exist; a build after `==` does.
        return re.sub(r"^(==[^=,]+)=.*$", r"\1", version)
    return f"=={version}"


def _fuzzy(specifier: str) -> str | None:
    match = re.match(r"^==(\d+\.\d+\.\d+)\.\*$", specifier)
    return match[1] if match else None


def _python(pin: Pin | None) -> tuple[str | None, str]:
    if pin is None:
        return None, ""
    match = re.match(r"^===?(\d+\.\d+(?:\.\d+)?)(?:\.\*)?$", pin.specifier)
    return (match[1] if match else None), pin.specifier
