"""What another process of the same user can see of the tool."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from validator.pipeline import signals

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has it")
NOBODY = 65534
WAITING = """
import runpy, sys
names = runpy.run_path(sys.argv[1])
names["shield"]() if sys.argv[2] == "shielded" else None
print("ready", flush=True)
sys.stdin.read()
"""
READING = """
import sys
try:
    print(b"HF_TOKEN" in open(f"/proc/{sys.argv[1]}/environ", "rb").read())
except PermissionError:
    print("denied")
"""


@pytest.mark.parametrize(("shielded", "seen"), [("open", "True"), ("shielded", "denied")])
def test_variables_of_the_tool_are_read_by_no_other_process_of_its_user(shielded: str, seen: str) -> None:
    """Root reads everything, so that the two run as nobody where the tests run as root."""
    user = NOBODY if os.getuid() == 0 else None
    python = shutil.which("python3", path="/usr/bin:/bin") if user else sys.executable
    source = Path(signals.__file__)
    if python is None or (
        user and subprocess.run(["cat", source], user=user, check=False, capture_output=True).returncode
    ):
        pytest.skip("nobody has no Python here, or cannot read this package")
    variables = {"PATH": "/usr/bin:/bin", "HF_TOKEN": "secret"}
    waiting = subprocess.Popen(
        [python, "-c", WAITING, str(source), shielded],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=variables,
        user=user,
    )
    assert waiting.stdin is not None
    assert waiting.stdout is not None
    try:
        assert waiting.stdout.readline() == b"ready\n"
        reader = [python, "-c", READING, str(waiting.pid)]
        done = subprocess.run(reader, user=user, env={}, capture_output=True, text=True, check=True)
    finally:
        waiting.stdin.close()
        waiting.stdout.close()
        waiting.wait()
    assert done.stdout == f"{seen}\n"
