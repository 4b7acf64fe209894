"""For the user's own tests: `assert_within_noise`, and the fixture `keras_validator` of pytest (`plugin`).

In come outputs, a model and its inputs, or the name of a model of validator.yml; out comes nothing, or an
AssertionError with the report's short words. Importing this package imports nothing heavy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from validator.api.comparing import ArrayComparison


def assert_within_noise(  # noqa: PLR0913 - the public call, all but four by name
    actual: Any,
    expected: Any,
    model: Any,
    inputs: Any,
    *,
    rtol: float | None = None,
    atol: float | None = None,
    batch_size: int = 32,
    seconds: float = 60.0,
) -> ArrayComparison:
    """Assert that outputs differ by no more than the noise of the model.

    Nothing is guessed: the predictions of `model` are repeated in this process with other rounding errors,
    and the difference is held against how far these are apart, for every sample, column and element
    (docs/verdicts.md). Where the operations of the model cannot be moved, its weights are; where it has none
    that can be, the tolerance of the dtype decides. The message and the returned comparison say which.

    Args:
        actual, expected: arrays, tensors, dicts of name → array, or lists of arrays; the first axis is the
            sample. One of the two is what `model` predicts.
        model: a built Keras model of this process. It stays as it is.
        inputs: what gave these outputs, as `predict` takes it, without batches.
        rtol, atol: a tolerance of your own, which then decides.
        batch_size: samples to predict at a time, as in the predictions.
        seconds: the time for measuring the noise.

    Returns:
        The comparison, with `expected` as its baseline.

    Raises:
        AssertionError: an output is not within the noise, or could not be compared.
        ConfigurationError: model, inputs and outputs do not fit each other.
        CannotJudgeError: the model fails on the inputs, or predicts neither side.
    """
    __tracebackhide__ = True
    from validator.api.comparing import compare

    options: dict[str, Any] = {"rtol": rtol, "atol": atol, "batch_size": batch_size, "seconds": seconds}
    comparison = compare(expected, actual, model=model, inputs=inputs, **options)
    if not comparison.passed:
        raise AssertionError(f"outputs are not within noise\n{comparison}")
    return comparison
