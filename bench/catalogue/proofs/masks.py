"""Proofs about masks: who hands one on, who reads it, and what a masked entry still does."""

import numpy as np
from common import LEGACY, accepted, fill, ids, keras, layers, normal, numbers, outcome, text


def _tagger(mask):
    first, x = text(mask)
    x = layers.LSTM(4, return_sequences=True)(x)
    model = fill(keras.Model(first, layers.Dense(3, activation="softmax")(x)))
    model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    right = np.array(model(ids())).argmax(-1)
    labels = np.where(ids() != 0, right, (right + 1) % 3)
    return model.evaluate(ids(), labels, batch_size=4, verbose=0)[1]


def compiled_metrics():
    """Accuracy of padded sequences, and of the same without a mask."""
    return {"shown": _tagger(True), "control": _tagger(False)}


def _merged(kind, mask, second=False):
    first, x = text(mask)
    inputs, rows = [first], [ids()]
    if second:
        other, y = text(mask, "other")
        inputs.append(other)
        rows.append(ids()[[1, 0, 3, 2]])
    else:
        y = layers.Dense(4)(x)
    x = getattr(layers, kind)()([x, y])
    model = fill(keras.Model(inputs, layers.LSTM(3)(x)))
    return model(rows if second else rows[0]).numpy()


def residual_mask():
    """An LSTM behind a residual Add, and the same without a mask."""
    return {"shown": _merged("Add", True), "control": _merged("Add", False)}


def average_mask():
    """An LSTM behind an Average."""
    return {"shown": _merged("Average", True), "control": _merged("Average", False)}


def two_masks():
    """An Add of two texts that are padded differently."""
    return {"shown": _merged("Add", True, True), "control": _merged("Add", False, True)}


def concatenated_masks():
    """A Concatenate of two texts that are padded differently."""
    return {"shown": _static("Concatenate", True), "control": _static("Concatenate", False)}


def _static(kind, mask):
    sides = [keras.Input((6,), batch_size=4, dtype="int32", name=name) for name in ("a", "b")]
    embedded = [layers.Embedding(9, 4, mask_zero=mask)(side) for side in sides]
    model = fill(keras.Model(sides, layers.LSTM(3)(getattr(layers, kind)()(embedded))))
    return model([ids(), ids()[[1, 0, 3, 2]]]).numpy()


def multiplied_masks():
    """A Multiply of two texts that are padded differently."""
    return {"shown": _merged("Multiply", True, True), "control": _merged("Multiply", False, True)}


def concatenate_dynamic():
    """Whether masked texts of an unknown batch can be concatenated, traced as `predict` does."""

    def run(mask):
        sides, embedded = zip(*(text(mask, name) for name in ("a", "b")), strict=True)
        model = keras.Model(sides, layers.LSTM(3)(layers.Concatenate()(list(embedded))))
        return model.predict([ids(), ids()[[1, 0, 3, 2]]], verbose=0)

    return {"shown": accepted(lambda: run(True)), "control": accepted(lambda: run(False))}


def _attended(mask=None, **options):
    x = normal(2, 5, 4)
    options |= {} if mask is None else {"mask": [np.ones_like(mask), mask]}
    return numbers(layers.Attention()([x, x], **options))


_PADDED = np.array([[False, True, True, False, False], [False, False, True, True, False]])


def causal_attention():
    """Causal attention over values that are partly masked; and attention without a mask."""
    return {"shown": _attended(_PADDED, use_causal_mask=True), "control": _attended()}


def masked_attention():
    """Attention over values that are partly masked, two samples of five steps; and without a mask."""
    return {"shown": outcome(lambda: _attended(_PADDED)), "control": _attended()}


def normalised_mask():
    """BatchNormalization in training, with a mask and without."""
    x = normal(4, 6, 3) + 2

    def run(mask):
        layer = layers.BatchNormalization()
        layer.build(x.shape)
        options = {"mask": mask} if mask is not None else {}
        layer(x, training=True, **options)
        return layer.get_weights()[2]

    return {"shown": outcome(lambda: run(ids() != 0)), "control": run(None)}


def attention_mask_kept():
    """Whether a mask leaves attention, and whether one leaves Dense."""
    _, x = text()
    y = layers.MultiHeadAttention(2, 3)(x, x)
    return {"shown": _mask_of(y), "control": _mask_of(layers.Dense(3)(x))}


def query_mask_stays():
    """Whether the query still has its mask after attention has read it."""
    first, x = text()
    y = layers.MultiHeadAttention(2, 3, name="heads")(x, x)
    z = layers.LSTM(3)(layers.Add()([x, y]))
    model = fill(keras.Model(first, z))
    return {"shown": model(ids()).numpy(), "control": _merged("Add", False)}


def _mask_of(tensor):
    return "mask" if getattr(tensor, "_keras_mask", None) is not None else "no mask"


def masked_softmax():
    """A softmax over a row that is wholly masked, and over one that is partly."""
    x = np.array([[1.0, 2.0, 3.0]], "float32")
    layer = layers.Softmax()
    return {
        "shown": layer(x, mask=np.array([[False, False, False]])).numpy(),
        "control": layer(x, mask=np.array([[True, True, False]])).numpy(),
    }


def list_mask():
    """A layer of one's own that takes a list of masked tensors, on padded rows and on full ones."""
    from corpus_models.versions import list_layer

    model = list_layer()
    rows = np.array([[3, 5, 2, 7, 0, 0, 0, 0], [4, 1, 8, 9, 3, 2, 6, 5]], "int32")
    return {"shown": np.array(model(rows[:1])), "control": np.array(model(rows[1:]))}


def loss_mask_half():
    """A float16 loss of a batch in which everything is masked, and of one where a part is."""
    loss = keras.losses.MeanSquaredError(dtype="float16")

    def run(mask):
        predicted = keras.ops.ones((2, 3), dtype="float16")
        predicted._keras_mask = keras.ops.convert_to_tensor(mask)
        return np.nan_to_num(np.asarray(loss(np.zeros((2, 3), "float16"), predicted), "float32"), nan=-1.0)

    none, some = np.zeros(2, bool), np.array([True, False])
    return {"shown": run(none), "control": run(some)}


def loss_mask_bits():
    """A loss whose mask keeps one of four values: total ÷ (valid + ε) against total ÷ valid."""
    loss = keras.losses.MeanSquaredError(reduction="sum")

    def run(mask):
        predicted = keras.ops.convert_to_tensor(normal(2, 2))
        predicted._keras_mask = keras.ops.convert_to_tensor(mask)
        return np.asarray(loss(np.zeros((2, 2), "float32"), predicted))

    one, every = np.array([True, False]), np.ones(2, bool)
    return {"shown": run(one), "control": run(every)}


def nan_under_mask():
    """A masked average whose hidden step is NaN, and whose hidden step is a number."""
    layer = layers.GlobalAveragePooling1D()
    mask = np.array([[True, True, False]])

    def run(hidden):
        x = np.array([[[1.0], [2.0], [hidden]]], "float32")
        return np.nan_to_num(layer(x, mask=mask).numpy(), nan=-99.0)

    return {"shown": run(np.nan), "control": run(7.0)}


def explicit_mask():
    """Whether a mask given as an argument is handed on to the LSTM behind."""
    x = series = keras.Input((6, 3))
    given = keras.Input((6,), dtype="bool")
    x = layers.BatchNormalization()(x, mask=given)
    model = fill(keras.Model([series, given], layers.LSTM(3)(x)))
    rows = normal(4, 6, 3)
    shown = model([rows, ids() != 0]).numpy()
    return {"shown": shown, "control": model([rows, np.ones((4, 6), bool)]).numpy()}


def converted_mask():
    """A float32 average behind a half-precision body: does the mask survive the conversion?"""

    def run(mask):
        half = keras.DTypePolicy("mixed_bfloat16")
        first = keras.Input((6,), dtype="int32")
        x = layers.Embedding(9, 4, mask_zero=mask, dtype=half)(first)
        x = layers.GlobalAveragePooling1D(dtype="float32")(layers.Dense(4, dtype=half)(x))
        return fill(keras.Model(first, x))(ids()[:3]).numpy()

    return {"shown": run(True), "control": run(False)}


def masked_statistics():
    """BatchNormalization over axis 1 with a mask: the count that masked sums are divided by."""

    def run(axis):
        layer = layers.BatchNormalization(axis=axis)
        x = normal(4, 6, 3) + 2
        layer.build(x.shape)
        layer(x, training=True, mask=ids() != 0)
        return layer.get_weights()[2]

    return {"shown": outcome(lambda: run(1)), "control": run(-1)}


assert LEGACY or keras.ops
