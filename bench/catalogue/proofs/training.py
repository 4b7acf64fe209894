"""Proofs about training, losses, metrics and optimizers."""

import numpy as np
from common import accepted, fill, keras, layers, normal, numbers, outcome

ops = getattr(keras, "ops", None)


def _line(units=1, **options):
    model = keras.Sequential([keras.Input((2,)), layers.Dense(units, **options)])
    return fill(model)


def flat_labels():
    """The loss with labels of rank 1 beside predictions of shape (N, 1), and with labels of rank 2."""
    rows, labels = normal(8, 2), normal(8)

    def run(shaped):
        loss = keras.losses.MeanAbsoluteError()
        return numbers(loss(labels.reshape(shaped), numbers(_line()(rows))))

    return {"shown": run((8,)), "control": run((8, 1))}


def flat_predictions():
    """The loss of labels (N, 1) beside predictions (N,), and of equal shapes."""
    x, y = normal(4), normal(4, seed=1)
    loss = keras.losses.MeanSquaredError()
    return {"shown": outcome(lambda: numbers(loss(x.reshape(4, 1), y))), "control": numbers(loss(x, y))}


def flat_metric():
    """An accuracy of labels of rank 1, and of rank 2."""

    def run(shape):
        metric = keras.metrics.MeanSquaredError()
        metric.update_state(normal(8).reshape(shape), normal(8, 1, seed=1))
        return numbers(metric.result())

    return {"shown": outcome(lambda: run((8,))), "control": run((8, 1))}


def recurrent_dropout():
    """What an RNN with recurrent_dropout alone drops, with input dropout of almost everything."""

    def run(rate, recurrent):
        keras.utils.set_random_seed(2)
        layer = layers.SimpleRNN(
            32, activation="linear", return_sequences=True, dropout=rate, recurrent_dropout=recurrent
        )
        layer.build((1, 2, 32))
        eye = np.eye(32, dtype="float32")
        layer.set_weights([eye * 0, eye, np.ones(32, "float32")])
        last = numbers(layer(np.ones((1, 2, 32), "float32"), training=True))[0, 1]
        return str(bool((np.abs(last - 2.0) > 0.5).any()))

    return {"shown": run(0.001, 0.9), "control": run(0.0, 0.0)}


def last_batch():
    """The loss of an epoch whose last batch is smaller, and of one whose batches are equal."""

    def run(batch):
        model = _line()
        model.compile("sgd", "mse")
        rows = normal(5, 2) * np.array([[1], [1], [1], [1], [9]], "float32")
        return model.evaluate(rows, np.zeros((5, 1), "float32"), batch_size=batch, verbose=0)

    return {"shown": run(4), "control": run(5)}


def several_clips():
    """Whether an optimizer takes two ways of clipping, and one."""
    return {
        "shown": accepted(lambda: keras.optimizers.SGD(clipnorm=1.0, clipvalue=0.5)),
        "control": accepted(lambda: keras.optimizers.SGD(clipnorm=1.0)),
    }


def accumulated_clipping():
    """Two accumulated steps with clipping, and one step with clipping."""

    def run(**options):
        model = _line(use_bias=False)
        model.compile(keras.optimizers.SGD(0.1, clipvalue=0.5, **options), "mse")
        rows = np.array([[1.0, 0.0], [9.0, 0.0]], "float32")
        labels = np.array([[0.3], [-9.0]], "float32")
        model.fit(rows, labels, batch_size=1, epochs=1, shuffle=False, verbose=0)
        return model.get_weights()[0]

    return {"shown": run(gradient_accumulation_steps=2), "control": run()}


def _replicas():
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


def _distributed(strategy):
    with strategy.scope():
        model = _line(use_bias=False)
        model.compile(keras.optimizers.SGD(0.1), "mse")
    rows = np.array([[1.0, 0.0], [3.0, 0.0], [2.0, 1.0], [0.0, 4.0]], "float32")
    model.fit(rows, np.zeros((4, 1), "float32"), batch_size=4, epochs=1, shuffle=False, verbose=0)
    return model.get_weights()[0]


def replicas():
    """A step of two replicas, and of one."""
    import tensorflow as tf

    shown = _distributed(_replicas())
    return {"shown": shown, "control": _distributed(tf.distribute.get_strategy())}


def fractional_weights():
    """MeanIoU with fractional sample weights, and with whole ones."""

    def run(weights):
        metric = keras.metrics.MeanIoU(num_classes=2)
        metric.update_state([0, 0, 1, 1], [0, 1, 0, 1], sample_weight=weights)
        return numbers(metric.result())

    return {"shown": run([0.3, 0.3, 0.3, 0.1]), "control": run([1, 1, 1, 1])}


def inner_loss_scale():
    """A mixed_float16 step whose optimizer scales the loss too, and a float32 step that does not."""

    def run(policy, **options):
        first = keras.Input((2,))
        model = fill(
            keras.Model(first, layers.Dense(1, use_bias=False, dtype=keras.DTypePolicy(policy))(first))
        )
        optimizer = keras.optimizers.SGD(0.01, **options)
        if policy != "float32":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=4.0)
        model.compile(optimizer, "mse")
        rows = np.array([[1.0, 2.0]] * 4, "float32")
        model.fit(rows, np.zeros((4, 1), "float32"), batch_size=4, epochs=1, verbose=0)
        return model.get_weights()[0]

    return {"shown": run("mixed_float16", loss_scale_factor=64.0), "control": run("float32")}


def muon_variables():
    """A step of Muon: the weight decay it takes by default, and the rate."""
    optimizer = keras.optimizers.Muon()
    return {
        "shown": str(optimizer.get_config()["weight_decay"]),
        "control": str(optimizer.get_config()["momentum"]),
    }


def class_axis():
    """A sparse cross-entropy over axis 1 with an ignored class, and over the last axis."""
    truth = np.array([[0, 1, 2]])
    given = np.abs(normal(1, 3, 3)) + 0.1

    def run(**options):
        loss = keras.losses.SparseCategoricalCrossentropy(**options)
        return numbers(loss(truth, given))

    return {"shown": outcome(lambda: run(axis=1, ignore_class=2)), "control": run(ignore_class=2)}


def _two_inputs(names):
    sides = [keras.Input((2,), name=name) for name in names]
    model = fill(keras.Model(sides, layers.Subtract()([layers.Dense(2)(side) for side in sides])))
    rows = {names[0]: normal(3, 2), names[1]: normal(3, 2, seed=4)}
    return model.predict(rows, verbose=0)


def dict_inputs():
    """A model of a list of inputs that is given a dict; names out of, and in, alphabetical order."""
    return {"shown": _two_inputs(["right", "left"]), "control": _two_inputs(["left", "right"])}


def _two_outputs(names):
    first = keras.Input((2,), name="x")
    model = fill(keras.Model(first, [layers.Dense(1, name=name)(first) for name in names]))
    model.compile("sgd", loss={names[0]: "mse", names[1]: "mae"})
    rows = normal(4, 2)
    labels = [np.ones((4, 1), "float32"), np.zeros((4, 1), "float32")]
    return (
        model.evaluate(rows, labels, verbose=0, batch_size=4)[0]
        if isinstance(model.evaluate(rows, labels, verbose=0, batch_size=4), list)
        else model.evaluate(rows, labels, verbose=0, batch_size=4)
    )


def dict_losses():
    """A dict of losses, names out of, and in, alphabetical order."""
    return {"shown": outcome(lambda: _two_outputs(["near", "far"])), "control": _two_outputs(["far", "near"])}


def _headed(names):
    first = keras.Input((2,), name="x")
    model = fill(keras.Model(first, {name: layers.Dense(1, name=name)(first) for name in names}))
    model.compile("sgd", loss="mse", metrics={names[0]: ["mae"], names[1]: ["mse"]})
    rows = normal(4, 2)
    labels = {names[0]: np.ones((4, 1), "float32"), names[1]: np.full((4, 1), 5.0, "float32")}
    result = model.evaluate(rows, labels, verbose=0, batch_size=4, return_dict=True)
    return [result.get(f"{names[0]}_mae", -1.0), result.get(f"{names[1]}_mse", -1.0)]


def dict_metrics():
    """A dict of metrics, names out of, and in, alphabetical order."""
    return {
        "shown": outcome(lambda: _headed(["near", "far"])),
        "control": outcome(lambda: _headed(["far", "near"])),
    }


def listed_metrics():
    """A dict of metrics of a model with a list of outputs and dict labels."""

    def run(names):
        first = keras.Input((2,), name="x")
        model = fill(keras.Model(first, [layers.Dense(1, name=name)(first) for name in names]))
        model.compile("sgd", loss=dict.fromkeys(names, "mse"), metrics={name: ["mae"] for name in names})
        labels = {names[0]: np.ones((4, 1), "float32"), names[1]: np.full((4, 1), 5.0, "float32")}
        result = model.evaluate(normal(4, 2), labels, verbose=0, batch_size=4, return_dict=True)
        return [result.get(f"{name}_mae", -1.0) for name in names]

    return {"shown": outcome(lambda: run(["near", "far"])), "control": outcome(lambda: run(["far", "near"]))}


def nested_compiled():
    """Whether a compiled model inside a compiled model can be fitted; and one that is not compiled."""

    def run(compiled):
        inner = _line()
        if compiled:
            inner.compile("sgd", "mse", metrics=["mae"])
        first = keras.Input((2,))
        model = keras.Model(first, inner(first))
        model.compile("sgd", "mse", metrics=["mae"])
        rows = normal(4, 2)
        model.fit(rows, np.ones((4, 1), "float32"), verbose=0)
        return model.evaluate(rows, np.ones((4, 1), "float32"), verbose=0)

    return {"shown": accepted(lambda: run(True)), "control": accepted(lambda: run(False))}


def output_losses():
    """Reported losses of each output, of a generator without a length and of arrays."""
    import tensorflow as tf

    rows, labels = normal(6, 2), (np.ones((6, 1), "float32"), np.zeros((6, 1), "float32"))

    def model():
        first = keras.Input((2,), name="x")
        built = fill(keras.Model(first, [layers.Dense(1, name=name)(first) for name in ("far", "near")]))
        built.compile("sgd", ["mse", "mae"])
        return built

    data = tf.data.Dataset.from_tensor_slices((rows, labels)).batch(2).filter(lambda *_: True)
    shown = model().evaluate(data, verbose=0, return_dict=True)
    control = model().evaluate(rows, list(labels), batch_size=2, verbose=0, return_dict=True)
    return {"shown": [shown.get("far_loss", -1.0)], "control": [control["loss"]]}


def weighted_losses():
    """The reported loss of an output that has a weight, and the total loss."""
    first = keras.Input((2,), name="x")
    model = fill(keras.Model(first, [layers.Dense(1, name=name)(first) for name in ("far", "near")]))
    model.compile("sgd", ["mse", "mae"], loss_weights=[0.2, 3.0])
    labels = [np.ones((4, 1), "float32"), np.zeros((4, 1), "float32")]
    result = model.evaluate(normal(4, 2), labels, batch_size=4, verbose=0, return_dict=True)
    return {"shown": [result.get("far_loss", -1.0)], "control": [result["loss"]]}
