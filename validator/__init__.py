"""Keras Upgrade Validator: run your model before and after a dependency upgrade and see what moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from validator.recorder import record as record

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """`from validator import record`, which needs NumPy alone; importing the package imports nothing."""
    if name == "record":
        from validator.recorder import record

        return record
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
