"""The Keras that a builder should use: tf_keras where TensorFlow was told to use it, otherwise Keras 3.

`import keras` stays Keras 3 under TF_USE_LEGACY_KERAS=1, so the examples ask here.
"""

from __future__ import annotations

import os

LEGACY = os.environ.get("TF_USE_LEGACY_KERAS", "") in ("1", "true", "True")

if LEGACY:
    import tf_keras as keras
else:
    import keras

__all__ = ["LEGACY", "keras"]
