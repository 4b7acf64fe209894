"""The check `layers`: what each layer gives in the full forward pass, and for the baseline's inputs."""

STAGE = "predict"


def run(work: object, options: dict) -> dict:
    """The task of `layers.task`, imported when it is asked for."""
    from keras_capture.layers import task

    return task.run(work, options)
