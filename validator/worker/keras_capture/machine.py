"""What the process runs on: packages, Python, processor."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import sys
from pathlib import Path

_X86 = ("sse4_2", "avx", "avx2", "fma", "f16c", "avx_vnni", "amx_tile", "amx_int8", "amx_bf16")
_AVX512 = ("avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni", "avx512_bf16", "avx512_fp16")
_ARM = ("asimd", "asimddp", "asimdhp", "fphp", "bf16", "i8mm", "sve", "sve2")
#: Instruction sets that choose kernels: numbers differ with them on otherwise equal machines.
_FEATURES = frozenset((*_X86, *_AVX512, *_ARM))


def packages() -> dict:
    """Version of every installed distribution, by normalised name; the first on the path counts."""
    found = {}
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"]
        if name:
            found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), distribution.version)
    return dict(sorted(found.items()))


def describe() -> dict:
    """Python, platform and processor as `environment.json` has them."""
    return {
        "python": platform.python_version(),
        "executable": sys.executable,
        "platform": platform.platform(),
        "cpu": cpu(),
    }


def cpu(cpuinfo: Path = Path("/proc/cpuinfo")) -> dict:
    """Model, instruction sets and usable cores of the processor."""
    try:
        text = cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""  # not Linux
    fields = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip().lower(), value.strip())
    flags = (fields.get("flags") or fields.get("features") or "").split()
    return {
        "model": fields.get("model name") or platform.processor() or platform.machine(),
        "features": sorted(_FEATURES.intersection(flags)),
        "cores": _cores(),
    }


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
