"""validator.yml → typed settings."""

from validator.config.load import load, parse
from validator.config.references import is_function
from validator.config.settings import Settings

__all__ = ["Settings", "is_function", "load", "parse"]
