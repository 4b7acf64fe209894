class Layer:
    """What shows a worker whose layers run."""
