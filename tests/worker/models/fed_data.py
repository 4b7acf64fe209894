"""What the models of `fed_models` are fed, and how people feed it."""

from __future__ import annotations

import numpy as np

SAMPLES, BATCH = 23, 4  # the last batch has three samples


def data(case: str) -> tuple[dict, dict]:
    """Inputs and labels by the names that they are recorded under."""
    random = np.random.RandomState(1)
    x = {"x": random.normal(size=(SAMPLES, 5)).astype("float32")}
    size = random.normal(2, 1, (SAMPLES, 1)).astype("float32")
    kind = (random.rand(SAMPLES, 1) > 0.5).astype("float32")
    weight = random.rand(SAMPLES).astype("float32")
    classes = random.randint(0, 3, SAMPLES)
    two = {name: random.normal(size=(SAMPLES, 4)).astype("float32") for name in ("title", "body")}
    ids = random.randint(1, 20, (SAMPLES, 6)) * (np.arange(6) < random.randint(1, 7, (SAMPLES, 1)))
    steps = {"x": random.normal(size=(SAMPLES // BATCH * BATCH, 5, 3)).astype("float32")}
    return {
        "one": (x, {"y": classes}),
        "one by layer": (x, {"class": classes}),
        "one weighed": (x, {"output": classes, "sample_weight": weight}),
        "flat": (x, {"y": size[:, 0].astype("float64")}),
        "heads by number": (x, {"0": size, "1": kind}),
        "heads by name": (x, {"kind": kind, "size": size}),
        "heads weighed": (x, {"0": size, "1": kind, "sample_weight": weight}),
        "heads weighed each": (
            x,
            {
                "size": size,
                "kind": kind,
                "size/sample_weight": weight,
                "kind/sample_weight": weight[::-1].copy(),
            },
        ),
        "heads in order": (x, {"0": size, "1": kind}),
        "pair": (two, {"y": classes % 2}),
        "tagger": ({"ids": ids.astype("int32")}, {"y": ids % 4}),
        "stateful": (steps, {"y": random.normal(size=(len(steps["x"]), 2)).astype("float32")}),
        "counting": (x, {"y": size}),
    }[case]


#: Case → builder.
CASES = {
    "one": "one",
    "one by layer": "one",
    "one weighed": "one",
    "flat": "flat",
    "heads by number": "heads",
    "heads by name": "heads",
    "heads weighed": "heads",
    "heads weighed each": "heads",
    "heads in order": "weighed_heads",
    "pair": "pair",
    "tagger": "tagger",
    "stateful": "stateful",
}


def as_people_feed(case: str) -> dict:
    """Arguments of `evaluate`: names become a dict, numbers a list, a single array itself."""
    inputs, recorded = data(case)
    x = inputs if len(inputs) > 1 else next(iter(inputs.values()))
    labels = {name: values for name, values in recorded.items() if "sample_weight" not in name}
    fed: dict = {"x": x}
    if len(labels) == 1:
        fed["y"] = next(iter(labels.values()))
    else:
        fed["y"] = list(labels.values()) if "0" in labels else labels
    if "sample_weight" in recorded:
        fed["sample_weight"] = recorded["sample_weight"]
    elif len(recorded) > len(labels):
        fed["sample_weight"] = {name: recorded[f"{name}/sample_weight"] for name in labels}
    if "sample_weight" in fed and isinstance(fed["y"], list):
        fed["sample_weight"] = [fed["sample_weight"]] * len(fed["y"])
    return fed
