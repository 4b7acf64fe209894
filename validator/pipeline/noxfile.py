"""The Nox sessions of `keras-validator run`."""

from pathlib import Path

from validator.pipeline.sessions import register

register(default_config=Path("validator.yml"))
