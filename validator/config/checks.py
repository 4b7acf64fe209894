"""The settings of the checks of a model that are not made without being asked for: training and decoding."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from validator.base import Frozen

#: YAML reads a bare `on` as true, but people mean the word.
OnOff = BeforeValidator(
    lambda value: {True: "on", False: "off"}.get(value, value) if isinstance(value, bool) else value
)
Function = Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]
Arguments = dict[str, str | int | float | bool]


class TrainingSettings(Frozen):
    """The first training steps, compared with the baseline's from the same weights and batches."""

    steps: int = Field(default=10, ge=1, le=1000, description="Training steps to compare number by number.")
    epochs: int = Field(default=0, ge=0, le=1000, description="Epochs of the loss curve that follows.")
    batch_size: int | None = Field(default=None, ge=1, description="Samples per step. Default: the model's.")
    function: Function | None = Field(
        default=None,
        description="`package.module:function` that returns the compiled model, optionally with its data.",
    )
    arguments: Arguments = Field(default={}, description="Keyword arguments of `function`.")
    inputs: str | None = Field(default=None, description="Recorded inputs to train on. Default: the model's.")
    labels: str | None = Field(default=None, description="Labels of these inputs. Default: the model's.")
    start: Literal["shared", "own"] = Field(
        default="shared",
        description="`shared`: the same initial weights on both sides. `own`: those the builder leaves.",
    )
    dropout: Annotated[Literal["off", "on"], OnOff] = Field(
        default="off",
        description="Whether random layers are active. Random generators differ between Keras versions.",
    )
    members: int = Field(
        default=3,
        ge=0,
        le=20,
        description="Baseline trainings from weights perturbed by one ULP, to measure noise.",
    )
    seeds: int = Field(default=3, ge=0, le=20, description="Random initialisations whose spread is compared.")


class DecodeSettings(Frozen):
    """Greedy decoding of a model that predicts the next token (docs/decode.md)."""

    prompt_length: int | None = Field(
        default=None, ge=1, description="Length of the prompt: the first tokens of each recorded sample."
    )
    prompts: str | None = Field(
        default=None, description="Separate prompts: a recording, .npz, .npy, or `package.module:function`."
    )
    steps: int = Field(default=16, ge=1, le=64, description="Tokens to decode after each prompt.")
    samples: int = Field(default=8, ge=1, le=64, description="Samples to decode, from the first on.")
    input: str | None = Field(default=None, description="Input with the token ids, if there are several.")
    pad: int | None = Field(default=None, ge=0, description="Token id of the padding.")
    eos: int | None = Field(default=None, ge=0, description="Token id of the end of a text.")
    protocol: Function | None = Field(
        default=None,
        description="`package.module:function`: takes a model, returns an object with `prefill` and `step`.",
    )
    detokenise: Function | None = Field(
        default=None, description="`package.module:function`: takes a list of token ids, returns the text."
    )

    @model_validator(mode="after")
    def _prompted(self) -> DecodeSettings:
        if (self.prompt_length is None) == (self.prompts is None):
            raise ValueError("decode needs either prompt_length or prompts, but not both")
        return self
