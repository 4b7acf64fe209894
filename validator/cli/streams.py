"""What a command says to people, on stderr: stdout is the report's."""

from __future__ import annotations

import sys


def tell(message: str) -> None:
    """Print a message, each line under the name of the command."""
    from validator.text import plain

    for line in message.splitlines():
        print(f"keras-validator: {plain(line, 2000)}", file=sys.stderr)  # noqa: T201
