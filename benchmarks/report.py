"""
The tables as Markdown, on the console, beside their figures as JSON under `.local/bench/`, and in `docs/benchmarks.md`.
"""

import json
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from config.env import BASE_DIR, LOCAL_DIR

from . import logins, processes
from .rounds import CHANGED, DEFAULT, FEW, Sample, Table, median
from .rows import ROWS, Row

RESULTS = LOCAL_DIR / "bench"
DOCUMENT = BASE_DIR / "docs" / "benchmarks.md"


def heading(how: str, *, changed: str = "", under: str = "") -> str:
    """
    Say where, when and how it was measured, and which settings were held against the defaults, or all of it was measured under.
    """
    describe = ("git", "describe", "--always", "--dirty")
    commit = subprocess.run(describe, cwd=BASE_DIR, stdout=subprocess.PIPE, text=True, check=False).stdout.strip()
    settings = f" Changed: `{changed}`." if changed else f" Under `{under}`." if under else ""
    where = f"{processes.machine()}, commit {commit or 'unknown'}"
    return f"Measured at {datetime.now(UTC):%Y-%m-%d %H:%M} UTC on {where}: {how}.{settings}"


def rows_table(table: Table) -> str:
    header = (
        "request",
        "calls/s",
        "share",
        "goal",
        "p50 ms",
        "p99 ms",
        "goal",
        f"p99 ms, {FEW} connections",
        "CPU µs: workers",
        "PostgreSQL",
        "Valkey",
        "SQL",
        "Redis",
        "failed",
    )
    lines = [_line(row, median(table.samples[row.name, DEFAULT]), table) for row in ROWS if (row.name, DEFAULT) in table.samples]
    return markdown(header, lines)


def _line(row: Row, sample: Sample, table: Table) -> list[str]:
    counts = table.counts.get(row.name)
    return [
        row.title,
        f"{sample.rate:,.0f}",
        f"{sample.share:.3f}",
        "" if row.goal_share is None else f"{row.goal_share:.2f}",
        f"{sample.p50:.1f}",
        f"{sample.p99:.1f}",
        "" if row.goal_p99 is None else f"{row.goal_p99:.0f}",
        f"{sample.few_p99:.1f}",
        f"{sample.web_us:.0f}",
        f"{sample.postgres_us:.0f}",
        f"{sample.valkey_us:.0f}",
        f"{counts.statements:g}" if counts else "",
        f"{counts.round_trips}" if counts else "",
        str(sample.failed),
    ]


def changes_table(table: Table) -> str:
    """
    Hold the changed settings against the defaults.
    """
    lines = []
    for row in ROWS:
        if (row.name, CHANGED) in table.samples:
            before, after = (median(table.samples[row.name, choice]) for choice in (DEFAULT, CHANGED))
            times = f"{before.p99:.1f} → {after.p99:.1f}"
            change = f"{(after.rate / before.rate - 1) * 100:+.0f} %" if before.rate else ""
            lines.append([row.title, f"{before.share:.3f}", f"{after.share:.3f}", change, times])
    return markdown(("request", "share", "changed", "calls/s", "p99 ms"), lines)


def processes_table(table: Table) -> str:
    lines = [
        [choice, f"{table.start_seconds[choice]:.2f}", f"{idle:.0f}", f"{loaded:.0f}"] for choice, (idle, loaded) in table.memory.items()
    ]
    return markdown(("settings", "s to the first answer", "private MiB of a worker at the start", "after the load"), lines)


def logins_table(samples: Mapping[str, Sequence[logins.LoginSample]]) -> str:
    """
    Show what was found under each choice of settings.
    """
    found = {choice: logins.median(of_choice) for choice, of_choice in samples.items()}
    cells = {choice: _login_cells(sample) for choice, sample in found.items()}
    goals = {"logins/s": "80 %", logins.BESIDE: "3x", "failed": "0"}
    names = ["measured"] if len(found) == 1 else list(found)
    titles = next(iter(cells.values()))
    lines = [[title, *(column[title] for column in cells.values()), goals.get(title, "")] for title in titles]
    return markdown(("what", *names, "goal"), lines)


def _login_cells(found: logins.LoginSample) -> dict[str, str]:
    share = f" ({found.logins / found.hashes:.0%} of them)" if found.hashes else ""
    slower = f" ({found.storm_p50 / found.idle_p50:.1f}x)" if found.idle_p50 else ""
    return {
        "raw hashes/s, all processors": f"{found.hashes:.1f}",
        "logins/s": f"{found.logins:.1f}{share}, p99 {found.login_p99:.0f} ms",
        "light GET alone, p50": f"{found.idle_p50:.2f} ms",
        logins.BESIDE: f"{found.storm_p50:.2f} ms{slower}",
        "failed": str(found.failed),
    }


def save(name: str, text: str, figures: Any) -> Path:
    """
    Write both forms, and return the path of the text; the last run of a name is replaced.
    """
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.md"
    path.write_text(text + "\n")
    path.with_suffix(".json").write_text(json.dumps(figures, indent=1) + "\n")
    return path


def publish(name: str, text: str) -> None:
    """
    Replace what stands between the marks of this name in `docs/benchmarks.md`.
    """
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    document, found = pattern.subn(lambda _: f"{begin}\n\n{text}\n\n{end}", DOCUMENT.read_text(encoding="utf-8"))
    if not found:
        raise SystemExit(f"{DOCUMENT} has no {begin}.")
    DOCUMENT.write_text(document, encoding="utf-8")


def figures(table: Table) -> dict[str, Any]:
    return {
        "samples": {f"{row}/{choice}": [sample._asdict() for sample in found] for (row, choice), found in table.samples.items()},
        "counts": {row: counts._asdict() for row, counts in table.counts.items()},
        "memory_mib": table.memory,
        "start_seconds": table.start_seconds,
    }


def markdown(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
