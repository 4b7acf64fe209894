"""The check `training`: the first steps of a training."""

STAGE = "train"


def run(work: object, options: dict) -> dict:
    """The task of `training.task`, imported when it is asked for."""
    from keras_capture.training import task

    return task.run(work, options)
