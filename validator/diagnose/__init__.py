"""Where a difference starts, and what kind it is."""

from validator.diagnose.localise import Diagnosis, Evidence, localise
from validator.diagnose.suspects import suspects

__all__ = ["Diagnosis", "Evidence", "localise", "suspects"]
