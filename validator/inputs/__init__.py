"""What a model's inputs look like, without running it, and samples made from that.

In come a model's file or folder and a recording; out come a `Specification` and samples that are marked as
synthetic.
"""

from validator.inputs.adequate import make_adequate
from validator.inputs.example import write_example
from validator.inputs.fitting import misfit
from validator.inputs.mlflow import MlflowModel, read_mlflow
from validator.inputs.specification import Input, Specification, read_specification
from validator.inputs.synthesis import synthesise

__all__ = [
    "Input",
    "MlflowModel",
    "Specification",
    "make_adequate",
    "misfit",
    "read_mlflow",
    "read_specification",
    "synthesise",
    "write_example",
]
