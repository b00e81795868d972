from pathlib import Path

import pytest

from config.capacity import MEBIBYTE, worker_count

PLENTY = 64 * 1024 * MEBIBYTE
# What version 1 says where nothing is limited.
NO_LIMIT = str(2**63 - 4096)


def cgroup(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        file = folder / name.replace("__", "/").replace("_max", ".max").replace("cpu_cfs", "cpu.cfs").replace(
            "memory_limit", "memory.limit"
        )
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"{text}\n", encoding="ascii")
    return folder


@pytest.mark.parametrize(
    ("files", "workers"),
    [
        ({}, 8),
        ({"cpu_max": "max 100000", "memory_max": "max"}, 8),
        ({"cpu_max": "400000 100000"}, 4),
        ({"cpu_max": "250000 100000"}, 2),
        ({"cpu_max": "50000 100000"}, 2),
        ({"cpu_max": "3200000 100000"}, 8),
        ({"cpu_max": "400000 100000", "memory_max": str(512 * MEBIBYTE)}, 3),
        ({"memory_max": str(384 * MEBIBYTE)}, 2),
        ({"memory_max": str(128 * MEBIBYTE)}, 1),
        ({"cpu__cpu_cfs_quota_us": "-1", "cpu__cpu_cfs_period_us": "100000", "memory__memory_limit_in_bytes": NO_LIMIT}, 8),
        ({"cpu__cpu_cfs_quota_us": "300000", "cpu__cpu_cfs_period_us": "100000"}, 3),
        ({"memory__memory_limit_in_bytes": str(512 * MEBIBYTE)}, 3),
    ],
)
def test_workers_follow_what_the_cgroup_grants(tmp_path: Path, files: dict[str, str], workers: int) -> None:
    assert worker_count(cgroup(tmp_path, **files), cpus=8, memory=PLENTY) == workers


def test_a_machine_without_cgroup_counts_by_itself(tmp_path: Path) -> None:
    assert worker_count(tmp_path / "nowhere", cpus=3, memory=PLENTY) == 3
    assert worker_count(tmp_path / "nowhere", cpus=16, memory=1024 * MEBIBYTE) == 7


def test_this_machine_gets_at_least_one(tmp_path: Path) -> None:
    assert worker_count(tmp_path) >= 1
