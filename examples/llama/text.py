"""Ids as words again. It needs no Keras."""

from __future__ import annotations

from collections.abc import Sequence

from llama.data import PAD, START, STOP, VOCABULARY


def to_text(ids: Sequence[int]) -> str:
    """The words of these ids, without what only frames a story."""
    return " ".join(VOCABULARY[number] for number in ids if number not in (PAD, START, STOP))
