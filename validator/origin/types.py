"""What is known of where a change comes from: typed, as `report.json` has it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from validator.base import Frozen, Text

#: What is compared: the bytes of the predictions, what `evaluate` reports, the losses of the training steps,
#: or what was decoded.
Aspect = Literal["outputs", "reported", "training", "decode"]
#: A step of the search, in its order.
Phase = Literal["ends", "releases", "packages", "nights", "lines"]
#: How a class of behaviour stands to the two ends of the cell.
Likeness = Literal["baseline", "candidate", "other", "failure"]
#: Failures that say more about the machine and the limits than about a version.
PASSING = frozenset({"TimeLimit", "TimeBudget", "MemoryLimit", "SIGKILL"})


class Behaviour(Frozen):
    """What one version did, so that two are the same where this is.

    A failure is a class by the type of its exception, whatever its message.
    """

    digest: str = Field(description="Of the recorded bytes, or the type of the exception.")
    error: Text = Field(default="", description="Type of the exception; empty where it ran.")
    stage: str = Field(default="", description="Where it was raised.")
    values: dict[str, float | None] = Field(
        default={}, description="The reported metrics, or the losses by step, where these count."
    )
    tokens: str = Field(default="", description="A digest of the decoded tokens, where these count.")
    seconds: float = Field(default=0.0, description="What the run took.")

    @property
    def ran(self) -> bool:
        """Whether it came to its end."""
        return not self.error


class Transition(Frozen):
    """Two neighbouring releases that behave differently, and what the newer one behaves like."""

    package: str = "keras"
    before: str
    after: str
    like: Likeness
    error: Text = Field(default="", description="Type of the exception that the newer one raises.")


class ReleaseClass(Frozen):
    """One release that was run, and what it behaves like. `behaviour`: the same letter for the same bytes."""

    version: str
    like: Likeness
    behaviour: str


class Releases(Frozen):
    """Every transition between the releases of a package, oldest first.

    `since` and `until` are the first and last release that behave like the candidate, in the stretch around
    it; null where there is no older or newer one of another behaviour.
    """

    package: str = "keras"
    first: str = Field(description="Oldest release that was run.")
    last: str = Field(description="Newest release that was run.")
    transitions: tuple[Transition, ...] = ()
    since: Transition | None = Field(default=None, description="Where the candidate's behaviour begins.")
    gone: Transition | None = Field(default=None, description="Where it ends again.")
    traced: Literal["since", "gone"] = Field(
        default="since", description="Which of the two lies between candidate and baseline."
    )
    unknown: tuple[str, ...] = Field(
        default=(), description="Releases that cannot be installed, or did not end within their limit."
    )
    ran: tuple[ReleaseClass, ...] = Field(default=(), description="Every release that was run, oldest first.")
    runs: int = 0


class Commit(Frozen):
    """A commit of the repository that `origin.repository` names."""

    hash: str
    subject: Text
    pull_request: int | None = None


class Nights(Frozen):
    """The two nightly builds of Keras between which the behaviour begins, by the date in their version."""

    before: str
    after: str
    like: Likeness = Field(default="candidate", description="What the newer night behaves like.")
    days: float = Field(description="Days between the two.")
    hole: bool = Field(default=False, description="No night was published between the two for days.")
    broken: tuple[str, ...] = Field(default=(), description="Nights in between that do not run.")
    link: str = Field(default="", description="The commits in question on GitHub.")
    commits: tuple[Commit, ...] = ()
    runs: int = 0


class Unit(Frozen):
    """A changed part of Keras: a function, a method, the rest of a class or of a module."""

    path: str
    name: str
    added: int
    removed: int


class ChangedLines(Frozen):
    """The smallest set of changed units that was found to carry the change, between two versions.

    `shown`: *sufficient* where applying them to the older version gives the newer one's behaviour,
    *necessary* where taking them back in the newer one gives the older one's, *both*.
    """

    before: str
    after: str
    units: tuple[Unit, ...]
    proof: Literal["sufficient", "necessary", "both"]
    smallest: bool = Field(default=True, description="No part of it does; false where time ended before.")
    diff: Text = ""
    changed: int = Field(default=0, description="Changed units of the two versions, of the modules imported.")
    runs: int = 0
    unresolved: int = Field(default=0, description="Mixtures that did not run.")


class Moved(Frozen):
    """A package that the upgrade changes: old and new version."""

    name: str
    before: str
    after: str


class Packages(Frozen):
    """Which package of a grouped upgrade moves the numbers.

    Attributes:
        alone: packages that do it when only they are upgraded, or that are needed where nothing else is.
        together: sets of which no part does it.
        unmoved: packages that move nothing, wherever they could be upgraded.
        riders: packages that have to move along.
        impossible: partial upgrades that do not resolve.
    """

    packages: tuple[Moved, ...]
    alone: tuple[str, ...] = ()
    together: tuple[tuple[str, ...], ...] = ()
    unmoved: tuple[str, ...] = ()
    riders: tuple[Moved, ...] = ()
    impossible: int = 0
    corners: int = 0
    runs: int = 0


#: Why nothing was traced. `flaky`: an end gives other bytes when it is run again. `same`: both ends behave
#: the same with the releases of Keras alone. `unlike`: the ends do not behave in the search as in the run.
Refusal = Literal["flaky", "same", "install", "unsupported", "fails"]
#: What could not be reached.
Missing = Literal["index", "nights", "branch", "unexplained", "repository", "cache", "beside", "lines"]


class Origin(Frozen):
    """Where a difference comes from, as far as it was found within the time budget."""

    aspect: Aspect
    legacy: bool = Field(default=False, description="The candidate runs tf-keras, the releases are Keras 3.")
    refused: Refusal | None = None
    refused_end: Text = Field(default="", description="The version that the refusal is about.")
    reason: Text = Field(default="", description="More about the refusal, in the words of whoever raised it.")
    packages: Packages | None = None
    package_releases: tuple[Releases, ...] = Field(
        default=(), description="Of packages other than Keras that move the numbers by themselves."
    )
    releases: Releases | None = None
    nights: tuple[Nights, ...] = Field(
        default=(), description="More than one where a third behaviour lies between the two releases."
    )
    lines: tuple[ChangedLines, ...] = ()
    missing: tuple[Missing, ...] = ()
    stopped: Phase | None = Field(default=None, description="The step at which the time budget ended.")
    command: Text = Field(default="", description="The command that goes on where this one stopped.")
    seconds: float = 0.0
    runs: int = Field(default=0, description="Versions and mixtures that were run; kept results do not count")
    message: str = Field(default="", description="The same for people, written with report.json.")
