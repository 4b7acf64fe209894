"""validator.yml → typed settings."""

from validator.config.load import load, parse
from validator.config.references import addresses, is_function, is_remote, named_files, with_files
from validator.config.settings import Settings

__all__ = [
    "Settings",
    "addresses",
    "is_function",
    "is_remote",
    "load",
    "named_files",
    "parse",
    "with_files",
]
