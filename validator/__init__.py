"""Keras Upgrade Validator: run your model before and after a dependency upgrade and see what moved."""

__version__ = "0.1.0"
