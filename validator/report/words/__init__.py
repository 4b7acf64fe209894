"""Every sentence about a result: one module a check, and what they all share.

In comes a typed finding or comparison, out go words, table columns and blocks. A module with the name of a
check holds `WORDS`, a `CheckWords`; nothing registers it. The others are about a run, a cell, a failure and
an upgrade.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from validator.report.document import Block
from validator.report.phrases import Words

if TYPE_CHECKING:  # checks cost an import of NumPy and SciPy, which `advise` does without
    from validator.checks.protocol import Comparison, Finding

C = TypeVar("C", bound="Comparison")

#: Where a finding is shown. `lead`: behind the verdict in the main table. `first`: before any lead, where the
#: predictions moved, since what others measured follows from it. `why`: explains the difference. `do`: a
#: workaround or another thing to do. `note`: worth knowing. `hidden`: said by the table already.
Place = Literal["lead", "first", "why", "do", "note", "hidden"]


@dataclass(frozen=True)
class Column(Generic[C]):
    """A column of numbers in the main table: heading, what it shows of a comparison, and below that in small.

    `show` gives an en dash where there is nothing to show; a column of nothing else is left out.
    """

    heading: str
    show: Callable[[C], str]
    below: Callable[[C], str] = lambda _: ""
    strong: Callable[[C], bool] = lambda _: False


@dataclass(frozen=True)
class CheckWords(Generic[C]):
    """What a report says about one check.

    Attributes:
        sentence: a finding as a sentence without a full stop, which stands alone: it names parts of the
            model (output, layer, metric), never the cell.
        place: where a finding is shown.
        columns: in the main table.
        details: blocks to unfold for one cell, empty where there is nothing to unfold.
    """

    sentence: Callable[[Finding], Words]
    place: Callable[[Finding], Place] = lambda _: "note"
    columns: tuple[Column[C], ...] = ()
    details: Callable[[C, Sequence[Finding]], tuple[Block, ...]] = lambda _, __: ()


#: The words of each check by its name, in the registry's order.
WordsByCheck = Mapping[str, CheckWords[Any]]


@cache
def registered_words() -> WordsByCheck:
    """The words of every registered check."""
    from validator.checks.registry import CHECKS  # its checks cost an import of NumPy and SciPy

    return {check.name: import_module(f"{__name__}.{check.name}").WORDS for check in CHECKS}
