"""What a worker is asked to decode, from the settings of a model."""

from __future__ import annotations

from pydantic import JsonValue

from validator.pipeline.project import Project, prepare_recordings
from validator.pipeline.run_folder import RunFolder

#: Members of the noise ensemble. Steps are many, so few members say enough.
_MEMBERS = 2


def decode_options(
    project: Project, name: str, folder: RunFolder, *, baseline: bool
) -> dict[str, JsonValue] | None:
    """The options of the task `decode`; None for a model without a decode block. Noise is the baseline's.

    Raises:
        ConfigurationError: the prompts cannot be read.
    """
    model = next(model for model in project.settings.models if model.name == name)
    decode = model.decode
    if decode is None:
        return None
    prompts = None
    if decode.prompts is not None:  # prompts are recorded as inputs are
        as_inputs = model.model_copy(update={"inputs": decode.prompts, "labels": None})
        prompts = prepare_recordings(project, as_inputs, folder).inputs
    return {
        **decode.model_dump(exclude={"prompts"}),
        "prompts": prompts,
        "noise": _MEMBERS if baseline else 0,
    }
