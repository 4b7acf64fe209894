"""The check `decode`: the tokens that a model generates."""

STAGE = "decode"


def run(work: object, options: dict) -> dict:
    """The task of `decode.decoding`, imported when it is asked for."""
    from keras_capture.decode import decoding

    return decoding.run(work, options)
