"""The check `outputs`: predictions, how far rounding alone moves them, and the same in float64."""

STAGE = "predict"


def run(work: object, options: dict) -> dict:
    """The task of `outputs.task`, imported when it is asked for."""
    from keras_capture.outputs import task

    return task.run(work, options)
