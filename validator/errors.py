"""The only exceptions that leave a room, and the exit code of each."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of every command."""

    OK = 0
    GATE = 1
    CONFIGURATION = 2
    CANNOT_JUDGE = 3
    INTERNAL = 70
    INTERRUPTED = 130


class ValidatorError(Exception):
    """What went wrong, where, and what to do, in one sentence. Users never see a traceback."""

    exit_code = Exit.INTERNAL


class ConfigurationError(ValidatorError):
    """The user's configuration, files or arguments cannot be used."""

    exit_code = Exit.CONFIGURATION


class CannotJudgeError(ValidatorError):
    """There is no result: the baseline is unusable, or nothing was compared."""

    exit_code = Exit.CANNOT_JUDGE
