"""What a model is made of on either side of a pull request, and what of that the pull request changes.

In come two snapshots and the settings of the models; out come `ModelReason`s. Python is parsed and never run.
"""

from validator.upgrade.models.changes import ConfiguredSide, ModelComparison, compare_models
from validator.upgrade.models.reading import model_files

__all__ = ["ConfiguredSide", "ModelComparison", "compare_models", "model_files"]
