"""What a model is made of on either side of a pull request, and what of that the pull request changes.

In come two snapshots and the settings of the models; out come `ModelReason`s. Python is parsed and never run.
"""

from validator.upgrade.models.changes import ConfiguredSide, ModelComparison, compare_models

__all__ = ["ConfiguredSide", "ModelComparison", "compare_models"]
