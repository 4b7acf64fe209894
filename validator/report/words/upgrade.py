"""What is said about an upgrade: which packages move, and why models run or none does."""

from __future__ import annotations

from validator.report.phrases import Words, listed, name, plural, words
from validator.report.words.failures import error_line
from validator.report.words.models import changed_model
from validator.upgrade.types import (
    AmbiguousReason,
    FileReason,
    IrrelevantReason,
    ModelReason,
    MovedReason,
    NoFrameworkReason,
    PackageChange,
    PackageReason,
    PythonMismatchReason,
    PythonReason,
    StaleLockReason,
    UndecidedReason,
    UnmovedReason,
    UnreadReason,
    UnresolvedReason,
    UpgradeReason,
)

_UNDER = words(" under ", name("upgrade.manifests"))


def moved_package(change: PackageChange) -> str:
    """`keras 3.3.3 → 3.5.0`, `keras 3.5.0 (new)` or `keras 3.3.3 (removed)`."""
    if change.old is None or change.new is None:
        return (
            f"{change.name} {change.new or change.old or ''} ({'new' if change.old is None else 'removed'})"
        )
    return f"{change.name} {change.old} → {change.new}"


def changed_package(change: PackageChange) -> Words:
    """The same as an entry of a list, with the file that asks for it."""
    where = words(" in ", name(change.manifest)) if change.manifest and change.direct else ()
    how = " (moved by the resolver)" if change.beside else "" if change.direct else " (transitive)"
    return words(name(moved_package(change)), how, *where)


def why_it_runs(reason: UpgradeReason) -> Words:
    """One reason why models run, or the one why none does."""
    match reason:
        case PackageReason(name=package, old=old, new=new, manifest=manifest):
            text = words(name(package), f" {old or 'absent'} → {new or 'absent'} in ", name(manifest))
        case MovedReason():
            text = _moved(reason)
        case UnmovedReason(packages=packages):
            installed = listed([name(each) for each in packages])
            text = words("the project already installs ", installed, ", so there is nothing to compare")
        case PythonReason(old=old, new=new, manifest=manifest):
            text = words(f"Python {old or 'any'} → {new or 'any'} in ", name(manifest))
        case FileReason(path=path):
            text = words(name(path), " changed")
        case ModelReason():
            text = changed_model(reason)
        case UnresolvedReason(side=side, failure=failure):
            text = words(f"the requirements of the {side} commit cannot be resolved: {error_line(failure)}")
        case IrrelevantReason():
            text = _irrelevant(reason)
        case _:
            text = why_undecided(reason)
    return text


def _moved(reason: MovedReason) -> Words:
    why = "moved beside it, by the resolver" if reason.beside else "as asked"
    if reason.instead:
        return words(name(f"{reason.name} {reason.new}"), " in place of ", name(reason.instead), f", {why}")
    return words(name(reason.name), f" {reason.old or 'absent'} → {reason.new or 'absent'}, {why}")


def why_undecided(reason: UndecidedReason) -> Words:
    """Why nothing is known about the upgrade, and the setting or command that settles it."""
    match reason:
        case UnreadReason():
            return _unread(reason)
        case StaleLockReason():
            return _stale_lock(reason)
        case NoFrameworkReason():
            return _no_framework(reason)
        case AmbiguousReason(manifests=manifests):
            which = listed([name(each) for each in manifests], most=4)
            near = " are equally near to validator.yml, and one of them changed: list the one that counts"
            return words(which, near, *_UNDER)
        case PythonMismatchReason(python=python, required=required, manifest=manifest):
            setting = (
                f" requires Python {required}, but validator.yml sets Python {python}: change or remove "
            )
            return words(name(manifest), setting, name("python"), " there")


def _unread(reason: UnreadReason) -> Words:
    old, new = (name(each) if each else "nothing" for each in (reason.old, reason.new))
    moved = words(" changes ", old, " to ", new) if reason.old else words(" now installs ", new)
    moved = moved if reason.new else words(" no longer installs ", old)
    return words(
        name(reason.path),
        *moved,
        ", and cannot be read without running it: list the manifest with the packages of the models",
        *_UNDER,
        ", or this file under ",
        name("upgrade.ignore"),
    )


def _stale_lock(reason: StaleLockReason) -> Words:
    asks = words(name(reason.manifest), " asks for ", name(f"{reason.package} {reason.asked}"))
    has = words(" has ", name(reason.locked)) if reason.locked else words(" lacks it")
    does = words(": run ", name(reason.command), " and commit the result")
    return words(*asks, ", but ", name(reason.lock), *has, *does)


def _no_framework(reason: NoFrameworkReason) -> Words:
    where = f" at the {reason.side} commit" if reason.side else ""
    but = words(" (", name(reason.path), " cannot be read without running it)") if reason.path else ()
    none = f"no manifest of the project{where} names keras, tensorflow, jax or torch"
    return words(none, *but, ": list the file that does", *_UNDER)


def _irrelevant(reason: IrrelevantReason) -> Words:
    others = [f"{plural(reason.packages, 'other package')} moved"] if reason.packages else []
    others += [f"{plural(reason.ranges, 'range')} changed without moving a version"] if reason.ranges else []
    beside = f" ({', '.join(others)})" if others else ""
    return words(f"no dependency that can move a model's numbers changed{beside}")
