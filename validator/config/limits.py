"""What a run and the code of its models may take: time, memory, disk, and files."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from validator.base import Frozen
from validator.config.checks import OnOff


class SandboxSettings(Frozen):
    """What the code of models and packages may write: by Landlock, Linux 5.19 or newer (SECURITY.md)."""

    mode: Annotated[Literal["auto", "off", "require"], OnOff] = Field(
        default="auto",
        description="`auto` confines workers where the system can, and reports where it cannot. `require` "
        "runs nothing there.",
    )
    write: tuple[str, ...] = Field(
        default=(),
        description="Further folders that the code of models writes. Default: only the folder of its own "
        "results and a temporary home.",
    )


class LimitSettings(Frozen):
    """Limits of one job in a worker, which runs one cell, of the whole run, and of what is fetched."""

    seconds: float = Field(default=600, gt=0, description="Time limit of one job.")
    start_seconds: float = Field(default=300, gt=0, description="Time limit of the import of Keras.")
    memory_gib: float | None = Field(
        default=None,
        gt=0,
        description="Resident memory of a worker. Default: 90 % of the memory of the machine or container.",
    )
    total_seconds: float | None = Field(
        default=None,
        gt=0,
        description="Time limit of a run, from its first installation on. Cells that it does not reach are "
        "not compared, and the run is inconclusive. Default: none.",
    )
    fetch_seconds: float = Field(
        default=1800, gt=0, description="Time limit of fetching one address; the next run goes on from there."
    )
    fetch_gib: float = Field(default=20, gt=0, description="Largest size of what one address holds.")
