"""Which change is named for what a cell found: by behaviour, never by the fingerprint alone."""

from __future__ import annotations

from dataclasses import replace

from tests.catalogue.samples import residual
from validator.catalogue.adequacy import Adequacy
from validator.catalogue.description import Compiled, DescribedLayer, Description, describe_config
from validator.catalogue.entries import InputNeed
from validator.catalogue.entries import change as entry_of
from validator.catalogue.matching import (
    Match,
    Observation,
    ObservedDifference,
    ObservedOrigin,
    matches,
    traced,
)
from validator.catalogue.reach import ReleasePair

MODEL = describe_config(residual())
MERGE = next(layer for layer in MODEL.layers if layer.name == "merge")
NOTHING = Observation(pair=ReleasePair("3.3.3", "3.5.0"), shows=frozenset(), model=MODEL)
LOST = replace(
    NOTHING,
    shows=frozenset({"predictions", "structure"}),
    differences=(ObservedDifference(MERGE, "mask", "result-mask"),),
)


def names(observed: Observation) -> list[str]:
    return [match.change.id for match in matches(observed)]


def test_a_mask_that_a_merge_no_longer_loses_is_named_with_its_layer() -> None:
    (match,) = matches(LOST)
    assert (match.change.id, match.sure, match.layers) == ("K07", "likely", ("merge",))
    assert match.why == ("layer", "mask")


def test_the_fingerprint_alone_names_nothing() -> None:
    assert names(NOTHING) == []
    assert names(replace(NOTHING, shows=frozenset({"predictions", "structure"}))) == []


def test_another_layer_is_not_it() -> None:
    dense = DescribedLayer("mix", "Dense")
    assert names(replace(LOST, differences=(ObservedDifference(dense, "value"),))) == []


def test_another_kind_of_difference_is_not_it() -> None:
    assert names(replace(LOST, differences=(ObservedDifference(MERGE, "dtype", "result-dtype"),))) == []


def test_releases_that_behave_alike_are_not_it() -> None:
    assert names(replace(LOST, pair=ReleasePair("3.4.0", "3.5.0"))) == []


def test_an_origin_at_the_same_release_makes_it_sure() -> None:
    (match,) = matches(replace(LOST, origin=ObservedOrigin("3.3.3", "3.4.0")))
    assert match.sure == "traced"
    assert match.why[-1] == "release"


def test_an_origin_at_another_release_rules_it_out() -> None:
    assert names(replace(LOST, origin=ObservedOrigin("3.4.1", "3.5.0"))) == []


def test_a_reported_metric_needs_the_mask_that_is_ignored() -> None:
    moved = Observation(
        pair=ReleasePair("3.11.3", "3.12.0"),
        shows=frozenset({"metric"}),
        model=MODEL,
        reported=("accuracy",),
        compiled=True,
    )
    assert names(moved) == []
    assert names(replace(moved, evidence=frozenset({"masked-metric"}))) == ["K01"]


def test_a_failure_needs_the_error_of_the_change() -> None:
    wrapping = Description((DescribedLayer("wrapped", "TFSMLayer"),))
    failed = Observation(
        pair=ReleasePair("3.13.1", "3.13.2"),
        shows=frozenset({"failure"}),
        model=wrapping,
        errors=("ValueError: a TFSMLayer is refused in safe mode",),
    )
    assert names(failed) == ["K20"]
    assert names(replace(failed, errors=("MemoryError: too much",))) == []


def test_training_needs_the_step_and_the_layer() -> None:
    loss = replace(NOTHING, pair=ReleasePair("3.13.2", "3.14.0"), shows=frozenset({"training"}))
    penal = DescribedLayer("code", "Dense", {"activity_regularizer": {"class_name": "L1"}})
    model = Description((penal,))
    assert names(replace(loss, model=model, training=(("training-loss", "code"),))) == ["K16"]
    assert names(replace(loss, model=model, training=(("training-backward", "code"),))) == []
    assert names(replace(loss, model=model, training=(("training-loss", "other"),))) == []


def test_an_origin_in_other_files_rules_it_out() -> None:
    elsewhere = ObservedOrigin("3.3.3", "3.4.0", ("keras/src/layers/rnn/lstm.py:LSTM.call",))
    assert names(replace(LOST, origin=elsewhere)) == []


def test_an_origin_in_its_files_is_said() -> None:
    there = ObservedOrigin("3.3.3", "3.4.0", ("keras/src/layers/layer.py:Layer.__call__",))
    (match,) = matches(replace(LOST, origin=there))
    assert match.why[-2:] == ("release", "lines")


def test_an_origin_in_another_package_rules_every_change_of_keras_out() -> None:
    assert names(replace(LOST, origin=ObservedOrigin("", ""))) == []


def test_releases_that_did_not_run_leave_the_border_open() -> None:
    assert names(replace(LOST, origin=ObservedOrigin("3.3.2", "3.5.0"))) == ["K07"]


GATES = DescribedLayer("watcher", "ConvLSTM2D", {"recurrent_activation": "hard_sigmoid"})


def test_a_setting_that_the_candidate_changed_is_not_what_the_release_does_with_it() -> None:
    kept = Observation(
        pair=ReleasePair("tf-keras", "3.5.0"),
        shows=frozenset({"predictions", "structure"}),
        model=Description((GATES,)),
        differences=(ObservedDifference(GATES, "value"),),
    )
    assert "K02" in names(kept)
    reset = ObservedDifference(GATES, "value", changed=(("recurrent_activation", "sigmoid"),))
    assert names(replace(kept, differences=(reset,))) == ["K03"]


def test_what_only_the_data_can_have_must_be_there() -> None:
    flat = Observation(
        pair=ReleasePair("tf-keras", "3.5.0"),
        shows=frozenset({"metric"}),
        model=Description((), frozenset({"compiled", "loss"}), Compiled(losses=("mse",))),
        reported=("loss",),
    )
    none: frozenset[InputNeed] = frozenset()
    assert names(replace(flat, inputs=Adequacy(frozenset({"flat-labels"}), none))) == ["K27"]
    assert names(replace(flat, inputs=Adequacy(none, frozenset({"flat-labels"})))) == []


def test_of_several_changes_of_one_release_only_found_lines_make_one_sure() -> None:
    merge = entry_of("K07")
    assert merge is not None
    first = Match(merge, "likely", ("layer",))
    second = Match(merge.model_copy(update={"id": "K999", "lines": ()}), "possible", ("layer",))
    release = ObservedOrigin("3.3.3", "3.4.0")
    assert {match.change.id: match.sure for match in traced([first, second], release)} == {
        "K07": "likely",
        "K999": "possible",
    }
    at = replace(release, places=(f"keras/src/{merge.lines[0]}:call",))
    assert [match.sure for match in traced([first, second], at)] == ["traced", "possible"]
