"""
How many worker processes this machine, or the container that it gives, can feed.
"""

import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
MEBIBYTE = 1024 * 1024
# What gunicorn's first process holds, shared with its workers, and what is set aside for each worker. That is twice what one holds for
# itself after a load (docs/benchmarks.md): while it hashes, each password takes 19 MiB more, two at once by default.
SHARED_BYTES, WORKER_BYTES = 160 * MEBIBYTE, 112 * MEBIBYTE


def worker_count(cgroup: Path = CGROUP, *, cpus: float | None = None, memory: int | None = None) -> int:
    """
    Return one worker for each CPU, as many as the memory holds, and at least one; two on one CPU, so that one stays while one is replaced.

    What the cgroup grants counts, in the files of version 2 or 1 below `cgroup`, but never more than the machine's `cpus` and `memory`.
    """
    machine_cpus = len(os.sched_getaffinity(0)) if cpus is None and hasattr(os, "sched_getaffinity") else cpus or os.cpu_count() or 1
    machine_memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if memory is None else memory
    granted_cpus = min(filter(None, (machine_cpus, _cpus(cgroup))))
    granted_memory = min(filter(None, (machine_memory, _memory(cgroup))))
    return max(1, min(max(2, int(granted_cpus)), (granted_memory - SHARED_BYTES) // WORKER_BYTES))


def _cpus(cgroup: Path) -> float | None:
    quota, period = [*_words(cgroup / "cpu.max"), "", ""][:2]
    if not quota:
        quota, period = "".join(_words(cgroup / "cpu/cpu.cfs_quota_us")), "".join(_words(cgroup / "cpu/cpu.cfs_period_us"))
    # Without a limit version 2 says `max`, version 1 `-1`.
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() and int(period) else None


def _memory(cgroup: Path) -> int | None:
    limit = "".join(_words(cgroup / "memory.max") or _words(cgroup / "memory/memory.limit_in_bytes"))
    return int(limit) if limit.isdigit() else None


def _words(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="ascii").split()
    except OSError:
        return []
