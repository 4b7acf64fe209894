"""What a model's inputs look like, without running it, and samples made from that.

In come a model's file and a recording; out come a `Specification` and samples that are marked as synthetic.
"""

from validator.inputs.adequate import make_adequate
from validator.inputs.fitting import misfit
from validator.inputs.specification import Input, Specification, read_specification
from validator.inputs.synthesis import synthesise

__all__ = ["Input", "Specification", "make_adequate", "misfit", "read_specification", "synthesise"]
