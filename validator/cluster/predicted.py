"""What a worker leaves that predicted some of a shard's samples: files by content, and what made them."""

from __future__ import annotations

from validator.base import Frozen
from validator.cluster.files import Bundle
from validator.runner import Machine

#: The file in the folder of a run that says what it predicted.
PIECE = "piece.json"


class Provenance(Frozen):
    """What must be the same for all pieces, and for whoever joins them, or numbers could be others.

    `locks`: environment → a digest of what is installed in it.
    """

    machine: Machine
    locks: dict[str, str]


class Predicted(Frozen):
    """The captures of a piece: `files` are those of a run's folder, below `captures`."""

    provenance: Provenance
    files: Bundle
