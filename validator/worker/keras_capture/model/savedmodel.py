"""A SavedModel: a frozen graph that runs without Keras."""

from __future__ import annotations

from pathlib import Path

from keras_capture.failures import UnusableError


class SavedModel:
    """One signature of a SavedModel. `inputs`: name → tensor spec. `variables`: none where it is frozen."""

    def __init__(self, path: Path, signature: str, jit: bool) -> None:
        import tensorflow

        self._model = tensorflow.saved_model.load(str(path))  # the variables die with the model object
        signatures = self._model.signatures
        if signature not in signatures:
            known = ", ".join(sorted(signatures)) or "none"
            raise UnusableError(f"{path} has no signature {signature!r}; it has: {known}")
        self._function = signatures[signature]
        self.variables = tuple(self._function.variables)
        self.inputs = dict(self._function.structured_input_signature[1])
        self.jit = jit
        if jit:
            self._function = tensorflow.function(self._function, jit_compile=True)

    def __call__(self, tensors: dict) -> dict:
        """Outputs by name."""
        return self._function(**tensors)
