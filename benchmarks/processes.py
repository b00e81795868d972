"""
What processes cost, read from Linux' `/proc`: processor time and memory that they share with nobody.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path

PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")


def children(pid: int) -> list[int]:
    return [int(text) for text in (PROC / f"{pid}/task/{pid}/children").read_text().split()]


def cpu_seconds(pids: Iterable[int]) -> float:
    """
    Return the processor time that these processes have taken; one that is gone counts nothing.
    """
    total = 0
    for pid in pids:
        try:
            # The name may hold blanks; it ends with the last bracket.
            fields = (PROC / f"{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def private_mib(pid: int) -> float:
    pages = re.findall(r"^Private_(?:Clean|Dirty):\s+(\d+) kB", (PROC / f"{pid}/smaps_rollup").read_text(), re.MULTILINE)
    return sum(map(int, pages)) / 1024


def machine() -> str:
    """
    Describe the processors and the memory.
    """
    info = (PROC / "cpuinfo").read_text()
    model = re.search(r"^model name\s*: (.*)$", info, re.MULTILINE)
    memory = re.search(r"^MemTotal:\s+(\d+) kB", (PROC / "meminfo").read_text(), re.MULTILINE)
    gib = int(memory[1]) / 1024**2 if memory else 0
    return f"{os.cpu_count()} x {model[1] if model else os.uname().machine}, {gib:.0f} GiB, Linux {os.uname().release}"
