"""Faults of files with models and weights, which both sides load: what is not loaded, is said.

The files are made by `material/make_files.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

from bench.faults.fault import CANNOT_JUDGE, GATE, OK, Expected, Fault, expected

_UNUSABLE = expected(CANNOT_JUDGE, verdicts="not-compared failed", findings="baseline-failed")
_SOUND = expected(OK, verdicts="identical rounding")
_NOT_PLAIN = expected(GATE, CANNOT_JUDGE, verdicts="not-compared suspicious failed")
_NAMED = expected(OK, findings="tensors-not-used")
WEIGHTS = """variable-missing layer-missing variable-transposed variable-wider variable-flat variable-scalar
variable-text variable-extra statistics-missing everything-missing empty torn torn-start text folder"""
ARCHIVES = """variable-missing layer-missing variable-transposed torn empty everything-missing statistics-missing
no-weights no-configuration configuration-torn configuration-deep units-other class-unknown activation-unknown
torn-zip empty-file text folder weights-as"""


def weights() -> Iterator[Fault]:
    """`weights:` for a builder, archives, and the older format."""
    for name in WEIGHTS.split():
        quick = name == "variable-missing"
        yield _weights(name, _UNUSABLE, f"{name}.weights.h5", quick=quick)
    yield _weights("variable-nan", _NOT_PLAIN, "variable-nan.weights.h5")
    yield _weights("variable-float64", _SOUND, "variable-float64.weights.h5")
    yield _weights("sound", _SOUND, "sound.weights.h5", quick=True)
    yield _weights("built-late", _SOUND, "late.weights.h5", builder="planted:late")
    yield _weights("of-another-model", _UNUSABLE, "late.weights.h5")
    yield _weights("layer-extra", _NAMED, "layer-extra.weights.h5")
    yield _weights("of-another-model-built-late", _NAMED, "sound.weights.h5", builder="planted:late")
    for name in ARCHIVES.split():
        yield _archive(f"archive-{name}", _UNUSABLE, f"{name}.keras")
    yield _archive("archive-sound", _SOUND, "sound.keras")
    yield _archive("archive-unknown-setting", expected(OK, CANNOT_JUDGE), "layer-renamed.keras")
    yield _archive("h5-sound", _SOUND, "sound.h5")
    for name in ("torn", "no-configuration"):
        yield _archive(f"h5-{name}", _UNUSABLE, f"{name}.h5")
    yield _archive("h5-that-is-an-archive", expected(OK, CANNOT_JUDGE), "archive-as.h5")


def _weights(
    name: str, come_out: Expected, file: str, builder: str = "planted:classifier", **more: bool
) -> Fault:
    model = {
        "name": f"weights-{name}",
        "builder": builder,
        "weights": f"stored/{file}",
        "inputs": "inputs.npz",
    }
    return Fault("weights", name, come_out, model, **more)


def _archive(name: str, come_out: Expected, file: str) -> Fault:
    model = {"name": f"weights-{name}", "artifact": f"stored/{file}", "inputs": "inputs.npz"}
    return Fault("weights", name, come_out, model)
