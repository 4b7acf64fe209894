"""What is said about an upgrade: which packages move, and why models run or none does."""

from __future__ import annotations

from validator.report.phrases import Words, name, plural, words
from validator.report.words.failures import error_line
from validator.report.words.models import changed_model
from validator.upgrade.types import (
    FileReason,
    IrrelevantReason,
    ModelReason,
    PackageChange,
    PackageReason,
    PythonReason,
    UnresolvedReason,
    UpgradeReason,
)


def moved_package(change: PackageChange) -> str:
    """`keras 3.3.3 → 3.5.0`, `keras 3.5.0 (new)` or `keras 3.3.3 (removed)`."""
    if change.old is None or change.new is None:
        return (
            f"{change.name} {change.new or change.old or ''} ({'new' if change.old is None else 'removed'})"
        )
    return f"{change.name} {change.old} → {change.new}"


def changed_package(change: PackageChange) -> Words:
    """The same as an entry of a list, with the file that asks for it."""
    where = words(" in ", name(change.manifest)) if change.manifest else ()
    return words(name(moved_package(change)), "" if change.direct else " (transitive)", *where)


def why_it_runs(reason: UpgradeReason) -> Words:
    """One reason why models run, or the one why none does."""
    match reason:
        case PackageReason(name=package, old=old, new=new, manifest=manifest):
            return words(name(package), f" {old or 'absent'} → {new or 'absent'} in ", name(manifest))
        case PythonReason(old=old, new=new, manifest=manifest):
            return words(f"Python {old or 'any'} → {new or 'any'} in ", name(manifest))
        case FileReason(path=path):
            return words(name(path), " changed")
        case ModelReason():
            return changed_model(reason)
        case UnresolvedReason(side=side, failure=failure):
            return words(f"the requirements of the {side} commit cannot be resolved: {error_line(failure)}")
        case IrrelevantReason():
            return _irrelevant(reason)


def _irrelevant(reason: IrrelevantReason) -> Words:
    others = [f"{plural(reason.packages, 'other package')} moved"] if reason.packages else []
    others += [f"{plural(reason.ranges, 'range')} changed without moving a version"] if reason.ranges else []
    beside = f" ({', '.join(others)})" if others else ""
    return words(f"no dependency that can move a model's numbers changed{beside}")
