"""What other checks found in a cell → what the catalogue is asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from validator.catalogue.description import DescribedLayer, Description, features_of
from validator.catalogue.entries import Feature, Shows
from validator.catalogue.matching import Observation, ObservedDifference
from validator.catalogue.reach import ReleasePair
from validator.catalogue.reading import read_description
from validator.checks.accuracy.types import MetricOnlyFinding
from validator.checks.layers.types import Cause, FirstDifference, FurtherCause
from validator.checks.loading.types import ArtifactFinding, CellFailed, InputsFedFinding
from validator.checks.protocol import Earlier, Finding, Subject
from validator.checks.structure.types import (
    LayerCall,
    StructuralDifference,
    StructureComparison,
    StructureFinding,
)
from validator.checks.training.types import TrainingCause
from validator.errors import ConfigurationError

_MOVED = frozenset({"changed", "suspicious"})


@dataclass(frozen=True)
class Sides:
    """The releases of both sides, and the model of the baseline."""

    pair: ReleasePair
    model: Description


def described(subject: Subject, earlier: Earlier) -> Description:
    """The model by the layers that were recorded, and by its file where that says more."""
    saved = _saved(subject)
    structure = earlier.comparison(StructureComparison)
    layers = tuple(
        DescribedLayer(layer.name, layer.class_name, layer.config, layer.own_code, listed=layer.listed)
        for layer in (structure.layers if structure else ())
    )
    if not layers:
        return saved
    policies = {layer.policy or "" for layer in structure.layers} if structure else set()
    features: set[Feature] = {*saved.features, *features_of(layers)}
    if any("float16" in policy for policy in policies):
        features.add("half")
    if len({policy for policy in policies if "float" in policy}) > 1:
        features.add("mixed-policies")
    if structure and structure.several_masks:
        features.add("several-masks")
    if any(layer.own_code for layer in layers) and "mask" in features:
        features.add("list-input")
    if structure and structure.given_masks:
        features |= {"mask", "explicit-mask"}
    if any(layer.class_name == "NotEqual" for layer in layers):
        features.add("mask")
    known = {layer.name for layer in layers}
    return replace(
        saved,
        layers=(*layers, *(layer for layer in saved.layers if layer.name not in known)),
        features=frozenset(features),
        complete=True,
    )


def _saved(subject: Subject) -> Description:
    """What the artifact or the builder's source says; nothing where it cannot be read."""
    nothing = Description(layers=(), complete=False)
    try:
        if subject.model.artifact:
            return read_description(subject.folder / subject.model.artifact)
        if subject.model.builder:
            module = subject.model.builder.partition(":")[0]
            source = read_description(subject.folder / Path(*module.split(".")).with_suffix(".py"))
            # Of a module with several builders, only what concerns its code is sure.
            return replace(nothing, source=source.source)
    except ConfigurationError:
        return nothing
    return nothing


def observation(subject: Subject, sides: Sides, earlier: Earlier) -> Observation:
    """Everything that a known change could explain."""
    findings = [finding for examined in earlier.examined for finding in examined.findings]
    shows: set[Shows] = set()
    for finding in findings:
        shows |= _shows(finding)
    return Observation(
        pair=sides.pair,
        shows=frozenset(shows),
        model=sides.model,
        differences=tuple(_differences(findings, sides.model)),
        training=tuple(
            (finding.kind, finding.layer.name if finding.layer else "")
            for finding in findings
            if isinstance(finding, TrainingCause)
        ),
        reported=tuple(_reported(findings)),
        errors=tuple(_errors(findings)),
        evidence=frozenset(finding.kind for finding in findings),
        compiled=subject.labels is not None or subject.model.training is not None,
    )


def _shows(finding: Finding) -> set[Shows]:
    if isinstance(finding, CellFailed | ArtifactFinding):
        return {"failure"}
    if finding.check == "outputs" and finding.verdict in _MOVED:
        return {"predictions", "structure"}
    if isinstance(finding, InputsFedFinding) and finding.verdict in _MOVED:
        return {"predictions"}
    if finding.kind in ("metric-only", "mask-ignored"):
        return {"metric"}
    if finding.check == "training" and finding.verdict in _MOVED:
        return {"training"}
    return set()


def _differences(findings: list[Finding], model: Description) -> Iterator[ObservedDifference]:
    """Where it starts; without that, the differences of structure."""
    causes = [each for each in findings if isinstance(each, FirstDifference | FurtherCause)]
    for each in causes:
        yield from _of_cause(each.cause, model)
    if not causes:
        for finding in findings:
            if isinstance(finding, StructureFinding):
                yield _structural(finding.difference, model)


def _of_cause(cause: Cause, model: Description) -> Iterator[ObservedDifference]:
    if cause.difference is not None:
        yield _structural(cause.difference, model)
    if cause.differs == "value" or cause.difference is None:
        yield ObservedDifference(_layer(cause, model), str(cause.differs))


def _structural(difference: StructuralDifference, model: Description) -> ObservedDifference:
    return ObservedDifference(_layer(difference, model), difference.aspect, difference.kind)


def _layer(call: LayerCall, model: Description) -> DescribedLayer:
    """The layer of a call with its settings, by its name, or by the last part of it."""
    last = call.layer.rpartition("/")[2]
    for name in (call.layer, last):
        for layer in model.layers:
            if layer.name == name and layer.class_name == call.class_name:
                return layer
    return DescribedLayer(call.layer, call.class_name)


def _reported(findings: list[Finding]) -> Iterator[str]:
    for finding in findings:
        if isinstance(finding, MetricOnlyFinding):
            yield finding.reported.name
            yield from finding.others


def _errors(findings: list[Finding]) -> Iterator[str]:
    for finding in findings:
        if isinstance(finding, CellFailed | ArtifactFinding):
            yield f"{finding.failure.error}: {finding.failure.message}"
