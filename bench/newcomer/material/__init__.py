"""Scripts that run inside a Keras environment: nothing of the validator is imported."""
