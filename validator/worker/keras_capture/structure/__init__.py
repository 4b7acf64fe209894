"""The check `structure`: which layers a model calls, in which order, and what they are made of."""

STAGE = "structure"


def run(work: object, options: dict) -> dict:
    """The task of `structure.task`, imported when it is asked for."""
    from keras_capture.structure import task

    return task.run(work, options)
