"""Keras Upgrade Validator: run your model before and after a dependency upgrade and see what moved.

`validator.run` runs a validator.yml, `validator.compare` compares arrays, `validator.record` records what
goes into a model. Errors are those of `validator.errors`. Importing this package imports nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from validator.api.comparing import ArrayComparison as ArrayComparison
    from validator.api.comparing import compare as compare
    from validator.api.running import RunResult as RunResult
    from validator.api.running import run as run
    from validator.recorder import record as record

__version__ = "0.1.0"

#: Public name → the module that has it; `record` needs NumPy alone.
_PUBLIC = {
    "ArrayComparison": "validator.api.comparing",
    "RunResult": "validator.api.running",
    "compare": "validator.api.comparing",
    "record": "validator.recorder",
    "run": "validator.api.running",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for."""
    if name in _PUBLIC:
        from importlib import import_module

        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
