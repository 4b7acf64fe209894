"""The check `accuracy`: what the framework's own `evaluate` reports. It has no task."""
