"""validator.yml → typed settings."""

from validator.config.load import load
from validator.config.settings import Settings

__all__ = ["Settings", "load"]
