"""environment.yml: conda's names and versions, and the pip list inside."""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml
from packaging.requirements import InvalidRequirement, Requirement

from validator.errors import ConfigurationError
from validator.upgrade.manifest import DependencyManifest, Files, Pin, Source, pin_of, plain_python
from validator.upgrade.readers import requirement_files
from validator.upgrade.text import compose_yaml, show

#: conda-forge's name → PyPI's, where they differ among the packages a Keras project has.
_PYPI_NAMES = {
    **dict.fromkeys(("pytorch", "pytorch-cpu", "pytorch-gpu"), "torch"),
    **{f"tensorflow-{build}": "tensorflow" for build in ("base", "gpu", "mkl", "eigen")},
    **dict.fromkeys(("opencv", "py-opencv"), "opencv-python"),
    "python-flatbuffers": "flatbuffers",
    "ml_dtypes": "ml-dtypes",
    "matplotlib-base": "matplotlib",
    "numpy-base": "numpy",
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


def read(source: Source, files: Files) -> DependencyManifest:
    """Return an environment.yml. Packages of conda that PyPI does not have are left out."""
    manifest = DependencyManifest(path=source.path, kind="conda")
    pins: list[Pin] = []
    python = ""
    for section, number, line in _dependencies(source):
        if section == "pip":
            if "\n" in line:
                raise ConfigurationError(f"{source.where}:{number}: {show(line)!r} is not a requirement.")
            # At its own line of an otherwise empty file, so that pins and errors have its number.
            text = "\n" * (number - 1) + line
            manifest += requirement_files.read(source.model_copy(update={"text": text}), files)
            continue
        pin = _conda_pin(line, number, source)
        if pin.name == "python":
            python = pin.specifier
        elif not _CONDA_ONLY.match(pin.name):
            pins.append(pin)
    return manifest.model_copy(
        update={
            "pins": (*pins, *manifest.pins),
            "python": plain_python(python.removeprefix("==").removesuffix(".*")),
            "requires_python": python,
        }
    )


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
    name = _PYPI_NAMES.get(bare, bare) if not bare.startswith("_") else "lib" + bare
    specifier = _pep440((match["version"] or "").strip())
    try:
        pin = pin_of(Requirement(f"{name}{specifier}"), source, number)
    except InvalidRequirement:
        raise ConfigurationError(
            f"{source.where}:{number}: the version of {show(line)!r} has no form for PyPI; "
            f"write it as in {name}=1.2.3."
        ) from None
    # `=1.2.3` is fuzzy in conda, yet people write it to mean this version: that is what is compared.
    fuzzy = re.match(r"^==(\d+\.\d+\.\d+)\.\*$", pin.specifier)
    return pin.model_copy(update={"version": fuzzy[1]}) if fuzzy else pin


def _pep440(version: str) -> str:
    """Return the PEP 440 form of conda's version: `=1.2` means 1.2.*, `=1.2=build` and `==1.2` mean 1.2."""
    if version in {"", "*", "=*", "==*"}:
        return ""
    if version.startswith("=") and not version.startswith("=="):
        number, _, build = version[1:].partition("=")
        number = number.removesuffix(".*").removesuffix("*")
        return f"=={number}" if build and build != "*" else f"=={number}.*"
    # `>=1.2=build` does not exist; a build after `==` does.
    return re.sub(r"^(==[^=,]+)=.*$", r"\1", version) if version[0] in "=<>!~" else f"=={version}"
