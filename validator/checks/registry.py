"""Every check, in the order in which a cell is examined: later ones see what earlier ones made of it."""

from __future__ import annotations

from typing import Any

from validator.checks.accuracy import CHECK as ACCURACY
from validator.checks.decode import CHECK as DECODE
from validator.checks.known import CHECK as KNOWN
from validator.checks.layers import CHECK as LAYERS
from validator.checks.loading import CHECK as LOADING
from validator.checks.outputs import CHECK as OUTPUTS
from validator.checks.protocol import Check
from validator.checks.structure import CHECK as STRUCTURE
from validator.checks.training import CHECK as TRAINING
from validator.checks.workarounds import CHECK as WORKAROUNDS

#: What a check reads and compares is its own affair: outside it only `Comparison` and `Finding` are seen.
CHECKS: tuple[Check[Any, Any], ...] = (
    LOADING,
    STRUCTURE,
    OUTPUTS,
    ACCURACY,
    LAYERS,
    DECODE,
    TRAINING,
    WORKAROUNDS,
    KNOWN,
)
