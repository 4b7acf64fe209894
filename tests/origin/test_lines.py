"""Mixtures of two versions: what is added, kept, withheld; and the smallest set either way."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.origin.small_keras import MODEL, run
from validator.origin.difference import Change, Difference, Executed, Tree
from validator.origin.lines import Direction, LinesOutcome, find_lines
from validator.origin.modules import Mixture, Pair, compose, parse
from validator.origin.types import Behaviour, ChangedLines

OLD = '''import math


class Layer:
    """A layer."""

    scale = 1

    @property
    def size(self):
        return 3

    @size.setter
    def size(self, value):
        pass

    def call(self, x):
        # a comment
        return x * self.scale


def f():
    return Layer().call(7)
'''


def trees(folder: Path, old: str, new: str, *ran: str) -> tuple[Tree, Tree]:
    outcome = []
    for name, text in (("old", old), ("new", new)):
        path = folder / name / MODEL
        path.parent.mkdir(parents=True)
        path.write_text(text)
        lines = {
            (MODEL, at)
            for at, line in enumerate(text.splitlines(), 1)
            if any(f"def {each}" in line for each in ran)
        }
        outcome.append(Tree(folder / name, Executed(frozenset({MODEL}), frozenset(lines))))
    return outcome[0], outcome[1]


def searched(folder: Path, old: str, new: str, *ran: str) -> ChangedLines | None:
    left, other = trees(folder, old, new, *ran)
    start, goal = run(old).digest, run(new).digest

    def observe(sources: Mapping[str, str]) -> Behaviour:
        return run(sources[MODEL])

    apply = Direction(Difference(left, other), observe, start, goal)
    revert = Direction(Difference(other, left), observe, goal, start, reverse=True)
    outcome = LinesOutcome()
    find_lines(apply, revert, ("1", "2"), outcome)
    return outcome.lines


@pytest.mark.parametrize(
    "new",
    [
        OLD.replace("return x", "return 2 * x").replace("return 3", "return 4"),
        OLD.replace("import math", "import math\nimport cmath"),
        OLD.replace("    def call", "    def other(self):\n        pass\n\n    def call"),
        OLD.replace("class Layer:", "class Layer(object):"),
        OLD.replace("        pass\n", "        self.value = value\n"),
    ],
)
def test_every_change_makes_the_new_module_and_none_the_old(new: str) -> None:
    pair = Pair(parse(OLD), parse(new))
    whole = parse(compose(pair, Mixture(whole=frozenset(pair.changed))))
    assert {part.key: part.code for item in whole for part in item} == {
        key: item.code for key, item in pair.after.items()
    }
    bare = compose(pair, Mixture(withheld=frozenset(pair.after)))
    assert {part.key: part.code for item in parse(bare) for part in item} == {
        key: item.code for key, item in pair.before.items()
    }


def test_words_alone_are_no_change() -> None:
    new = OLD.replace('"""A layer."""', '"""A layer of this kind."""').replace(
        "# a comment", "# another comment"
    )
    assert Pair(parse(OLD), parse(new)).changed == []


def test_the_setter_of_a_property_is_an_item_of_its_own() -> None:
    new = OLD.replace(
        "    def size(self, value):\n        pass", "    def size(self, value):\n        self.s = value"
    )
    assert Pair(parse(OLD), parse(new)).changed == ["Layer.size#2"]


def test_a_function_that_did_not_run_is_looked_at_last(tmp_path: Path) -> None:
    new = OLD.replace("return x *", "return 2 * x *").replace("return 3", "return 4")
    lines = searched(tmp_path, OLD, new, "call", "f")
    assert lines is not None
    assert [unit.name for unit in lines.units] == ["Layer.call"]
    assert lines.proof == "both"


def test_an_attribute_of_a_class_is_found_where_no_function_changed(tmp_path: Path) -> None:
    lines = searched(tmp_path, OLD, OLD.replace("scale = 1", "scale = 5"), "call", "f")
    assert lines is not None
    assert [unit.name for unit in lines.units] == ["Layer.scale"]


def test_a_new_method_that_acts_by_being_there_is_a_change(tmp_path: Path) -> None:
    old = OLD.replace(
        "class Layer:", "class Base:\n    def factor(self):\n        return 1\n\n\nclass Layer(Base):"
    ).replace("x * self.scale", "x * self.factor()")
    new = old.replace("    scale = 1\n", "    scale = 1\n\n    def factor(self):\n        return 3\n")
    lines = searched(tmp_path, old, new, "call", "f", "factor")
    assert lines is not None
    assert [unit.name for unit in lines.units] == ["Layer.factor"]
    assert lines.units[0].removed == 0


def test_two_functions_that_only_act_together_are_both_named(tmp_path: Path) -> None:
    old = "def g():\n    return 1\n\n\ndef h():\n    return 1\n\n\ndef f():\n    return g() * h() == 6\n"
    new = old.replace("def g():\n    return 1", "def g():\n    return 2").replace(
        "def h():\n    return 1", "def h():\n    return 3"
    )
    lines = searched(tmp_path, old, new, "g", "h", "f")
    assert lines is not None
    # Either of them, taken back, undoes the change: that is less to read than both.
    assert lines.proof == "necessary"
    assert len(lines.units) == 1


def test_a_mixture_that_is_no_python_is_never_run(tmp_path: Path) -> None:
    left, other = trees(tmp_path, OLD, OLD.replace("return 3", "return 4"), "f")
    asked: list[Mapping[str, str]] = []

    def observe(sources: Mapping[str, str]) -> Behaviour:
        asked.append(sources)
        return Behaviour(digest="goal")

    direction = Direction(Difference(left, other), observe, "start", "goal")
    pair = direction.difference.pairs[MODEL]
    broken = Pair((*pair.old[:1], pair.old[1]), pair.new)
    assert parse(compose(broken, Mixture()))
    assert direction.has_effect([Change(MODEL, "Layer.size")])
    assert len(asked) == 1


def test_a_mixture_that_hangs_has_no_effect(tmp_path: Path) -> None:
    new = OLD.replace("return x *", "return 2 * x *").replace("scale = 1", "scale = 5")
    left, other = trees(tmp_path, OLD, new, "call", "f")

    def observe(sources: Mapping[str, str]) -> Behaviour:
        if "2 * x" in sources[MODEL] and "scale = 1" in sources[MODEL]:
            return Behaviour(digest="!TimeLimit", error="TimeLimit")
        return run(sources[MODEL])

    direction = Direction(Difference(left, other), observe, run(OLD).digest, run(new).digest)
    assert {change.key for change in direction.search() or ()} == {"Layer.call", "Layer.=scale"}
    assert direction.unresolved >= 1
