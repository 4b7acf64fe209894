"""What other checks found in a cell → what the catalogue is asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from validator.catalogue.adequacy import Adequacy
from validator.catalogue.description import OF_COMPILATION, DescribedLayer, Description, features_of
from validator.catalogue.entries import Feature, Shows
from validator.catalogue.matching import Observation, ObservedDifference
from validator.catalogue.reach import ReleasePair
from validator.catalogue.reading import read_builder, read_description
from validator.checks.accuracy.types import MaskIgnoredFinding, MetricOnlyFinding
from validator.checks.layers.types import Cause, FirstDifference, FurtherCause
from validator.checks.loading.types import ArtifactFinding, CellFailed, InputsFedFinding
from validator.checks.outputs.types import OutputsComparison
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
        return saved if saved.complete else replace(saved, layers=())
    if not saved.complete:  # how often a call of the source runs is not known
        layers, saved = tuple(_spelled_out(layers, saved.layers)), replace(saved, layers=())
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
    features |= set(_ends(earlier))
    known = {layer.name for layer in layers}
    return replace(
        saved,
        layers=(*layers, *(layer for layer in saved.layers if layer.name not in known)),
        features=frozenset(features),
        complete=True,
    )


def _spelled_out(
    layers: Sequence[DescribedLayer], called: Sequence[DescribedLayer]
) -> Iterator[DescribedLayer]:
    """Recorded layers, with settings that only the source has: some releases do not save all of them."""
    for layer in layers:
        alike = [each for each in called if each.class_name == layer.class_name]
        named = [each for each in alike if each.config.get("name") == layer.name]
        alone = [] if len([each for each in layers if each.class_name == layer.class_name]) > 1 else alike
        source = next((each for each in (named or alone)[:1] if len(named or alone) == 1), None)
        yield layer if source is None else replace(layer, config={**source.config, **layer.config})


def _ends(earlier: Earlier) -> Iterator[Feature]:
    """Several outputs, as they were compared; several inputs, where their order makes a difference."""
    outputs = earlier.comparison(OutputsComparison)
    names = [output.name for output in outputs.outputs] if outputs else []
    if len(names) > 1:
        yield "several-outputs"
        if names != sorted(names):
            yield "unsorted-outputs"
    if any(isinstance(finding, InputsFedFinding) for finding in earlier.findings("loading")):
        yield "several-inputs"
        yield "unsorted-inputs"


def _saved(subject: Subject) -> Description:
    """What the artifact or the builder's source says; nothing where it cannot be read."""
    nothing = Description(layers=(), complete=False)
    try:
        if subject.model.artifact:
            return read_description(subject.folder / subject.model.artifact)
        if subject.model.builder:
            module, _, function = subject.model.builder.partition(":")
            built = read_builder(subject.folder / Path(*module.split(".")).with_suffix(".py"), function)
            return replace(
                nothing,
                layers=built.layers,
                source=built.source,
                compiled=built.compiled,
                features=built.features & {*OF_COMPILATION, "integer-input"},
            )
    except ConfigurationError:
        return nothing
    return nothing


def observation(
    subject: Subject, sides: Sides, earlier: Earlier, inputs: Adequacy | None = None
) -> Observation:
    """Everything that a known change could explain. `inputs`: what the recorded data hold, if known."""
    findings = [finding for examined in earlier.examined for finding in examined.findings]
    shows: set[Shows] = set()
    for finding in findings:
        shows |= _shows(finding)
    return Observation(
        pair=sides.pair,
        shows=frozenset(shows),
        model=sides.model,
        differences=tuple(_differences(findings, sides.model)),
        training=tuple(_training(findings)),
        reported=tuple(_reported(findings)),
        errors=tuple(_errors(findings)),
        evidence=frozenset(_evidence(findings)),
        compiled=subject.labels is not None or subject.model.training is not None,
        failed=any(isinstance(finding, CellFailed) for finding in findings),
        inputs=inputs,
    )


def _training(findings: list[Finding]) -> Iterator[tuple[str, str]]:
    """Kinds of findings about training, with the layer to blame, or with those whose variables differ."""
    for finding in findings:
        if isinstance(finding, TrainingCause):
            yield finding.kind, finding.layer.name if finding.layer else ""
            for variable in finding.variables:
                parts = variable.split("/")
                yield from ((finding.kind, "/".join(parts[:end])) for end in range(1, len(parts)))


def _evidence(findings: list[Finding]) -> Iterator[str]:
    """Kinds of findings; `masked-metric` where a metric moves alone, and an output carries a mask."""
    for finding in findings:
        yield finding.kind
        if isinstance(finding, MaskIgnoredFinding) or (
            isinstance(finding, MetricOnlyFinding) and finding.masked
        ):
            yield "masked-metric"


def _shows(finding: Finding) -> set[Shows]:
    if isinstance(finding, CellFailed | ArtifactFinding):
        return {"failure"}
    if isinstance(finding, StructureFinding):
        # A mask or a dtype that a layer alone changes is seen, even where no prediction shows it.
        own = finding.difference.cause and finding.difference.aspect in ("mask", "dtype")
        return {"structure"} if own else set()
    if finding.kind in ("metric-only", "mask-ignored"):
        return {"metric"}
    moved: dict[str, set[Shows]] = {
        "outputs": {"predictions", "structure"},
        "loading": {"predictions"} if isinstance(finding, InputsFedFinding) else set(),
        "training": {"training"},
    }
    return moved.get(finding.check, set()) if finding.verdict in _MOVED else set()


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
    changed: tuple[tuple[str, object], ...] = ()
    if cause.difference is not None:
        observed = _structural(cause.difference, model)
        changed = observed.changed
        yield observed
    if cause.differs == "value" or cause.difference is None:
        call = cause.before if not cause.layer and cause.before is not None else cause
        yield ObservedDifference(_layer(call, model), str(cause.differs), changed=changed)


def _structural(difference: StructuralDifference, model: Description) -> ObservedDifference:
    changed: tuple[tuple[str, object], ...] = ()
    if difference.kind == "configuration" and difference.name:
        changed = ((difference.name, difference.after),)
    return ObservedDifference(_layer(difference, model), difference.aspect, difference.kind, changed)


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
