"""What a place in a validator.yml names: a file, or a function."""

from __future__ import annotations


def is_function(inputs: str) -> bool:
    """Whether inputs are a Python function, `package.module:function`, rather than a file."""
    module, separator, function = inputs.partition(":")
    return (
        bool(separator) and function.isidentifier() and all(part.isidentifier() for part in module.split("."))
    )
