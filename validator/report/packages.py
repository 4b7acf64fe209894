"""What each candidate environment has otherwise than the baseline, package by package."""

from __future__ import annotations

from dataclasses import dataclass

from validator.matrix import BASE_FILES, by_version
from validator.upgrade.types import PackageChange
from validator.verdict.parts import SEPARATOR
from validator.verdict.results import EnvironmentResult, Report

KEY_PACKAGES = ("keras", "tf-keras", "tensorflow", "tensorflow-cpu", "jax", "torch", "numpy")
#: A fact of an environment: the Keras that really runs.
RUNS = "runs"


@dataclass(frozen=True)
class EnvironmentDifference:
    """What one candidate environment has otherwise than the baseline. `total` counts packages."""

    name: str
    packages: tuple[PackageChange, ...]
    total: int
    facts: tuple[PackageChange, ...]
    same: tuple[str, ...]
    same_more: int


def differences(report: Report) -> tuple[EnvironmentDifference, ...]:
    """What each candidate environment has otherwise; empty when the baseline is not known."""
    baseline = next((env for env in report.environments if env.name == report.baseline), None)
    if baseline is None or not baseline.packages:
        return ()
    others = [env for env in report.environments if env is not baseline and env.name != BASE_FILES]
    candidates = sorted((env for env in others if env.packages), key=lambda env: by_version(env.name))
    return tuple(_difference(baseline, candidate) for candidate in candidates)


def _difference(baseline: EnvironmentResult, candidate: EnvironmentResult) -> EnvironmentDifference:
    before, after = baseline.packages, candidate.packages
    names = sorted(before.keys() | after.keys(), key=lambda name: (name not in KEY_PACKAGES, name))
    moved = [name for name in names if before.get(name) != after.get(name)]
    other_module = baseline.keras.split(" ")[0] != candidate.keras.split(" ")[0]
    facts = {
        RUNS: (baseline.keras, candidate.keras if other_module else baseline.keras),
        "Python": (baseline.python, candidate.python),
        "backend": (baseline.backend, candidate.backend),
        "CPU": (baseline.cpu, candidate.cpu),
    }
    kept = [name for name in KEY_PACKAGES if name in before and before.get(name) == after.get(name)]
    same = [f"Python {baseline.python}"] if baseline.python and baseline.python == candidate.python else []
    return EnvironmentDifference(
        name=candidate.name,
        packages=tuple(PackageChange(name=name, old=before.get(name), new=after.get(name)) for name in moved),
        total=len(names),
        facts=tuple(
            PackageChange(name=fact, old=old, new=new)
            for fact, (old, new) in facts.items()
            if old and new and old != new and not (fact == "CPU" and _ran_beside(old, new))
        ),
        same=(*same, *(f"{name} {before[name]}" for name in kept)),
        same_more=len(names) - len(moved) - len(kept),
    )


def _ran_beside(baseline: str, candidate: str) -> bool:
    """Whether the baseline ran on every processor of the candidate, as in a run of several machines."""
    return set(candidate.split(SEPARATOR)) <= set(baseline.split(SEPARATOR))
