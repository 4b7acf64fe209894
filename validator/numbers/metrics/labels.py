"""Which labels belong to which output."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import NamedTuple

from validator.errors import ConfigurationError
from validator.storage.tensors import StoredTensor


class LabelledOutput(NamedTuple):
    """An output with its labels."""

    output: StoredTensor
    labels: StoredTensor
    weights: StoredTensor | None


def pair_labels(
    outputs: Sequence[StoredTensor], labels: Sequence[StoredTensor]
) -> tuple[LabelledOutput, ...]:
    """Find the outputs that have labels: by name, or the only one (docs/protocol.md, "A recording").

    ConfigurationError when labels fit no output.
    """
    by_name = {tensor.name: tensor for tensor in outputs}
    weights = {tensor.name: tensor for tensor in labels if tensor.name.split("/")[-1] == "sample_weight"}
    true = [tensor for tensor in labels if tensor.name not in weights]
    labelled = []
    for tensor in true:
        output = by_name.get(tensor.name)
        if output is None and len(true) == len(outputs) == 1:
            output = outputs[0]
        if output is None:
            near = get_close_matches(tensor.name, by_name, 1)
            meant = f" (did you mean {near[0]!r}?)" if near else ""
            raise ConfigurationError(
                f"labels {tensor.name!r} fit no output{meant}; the outputs are "
                f"{', '.join(map(repr, by_name)) or 'none'}; name each label array as its output"
            )
        weight = weights.get(f"{output.name}/sample_weight", weights.get("sample_weight"))
        labelled.append(LabelledOutput(output, tensor, weight))
    if not labelled:
        raise ConfigurationError("the labels hold no array but sample weights; add the labels themselves")
    return tuple(labelled)
