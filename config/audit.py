"""
`make audit`: fail if a version that an image holds has a known security fault, and say so if nobody could be asked.

An index that is away does not hold up a change: only what is known does.
"""

import json
import subprocess
import sys
from typing import Any

from .env import BASE_DIR

REQUIREMENTS = (str(BASE_DIR / "requirements.txt"), str(BASE_DIR / "requirements-postgresql.txt"))


def main(arguments: list[str]) -> int:
    files = [word for path in arguments or REQUIREMENTS for word in ("--requirement", path)]
    command = [sys.executable, "-m", "pip_audit", "--require-hashes", "--disable-pip", "--progress-spinner", "off", "--format", "json"]
    done = subprocess.run([*command, *files], capture_output=True, text=True, check=False)
    try:
        dependencies = json.loads(done.stdout)["dependencies"]
    except ValueError:
        sys.stdout.write(f"Not audited, the service that knows of faults cannot be reached:\n{_last_line(done.stderr)}\n")
        return 0
    return report(dependencies)


def report(dependencies: list[dict[str, Any]]) -> int:
    """
    Write what was found, and return the exit status: 1 for a known fault.
    """
    faults = [(dependency, fault) for dependency in dependencies for fault in dependency.get("vulns", [])]
    skipped = [dependency["name"] for dependency in dependencies if "skip_reason" in dependency]
    for dependency, fault in faults:
        fixed = ", ".join(fault["fix_versions"]) or "none yet"
        sys.stdout.write(f"{dependency['name']} {dependency['version']}: {fault['id']}, fixed in {fixed}\n")
    audited = len(dependencies) - len(skipped)
    sys.stdout.write(f"{audited} of {len(dependencies)} libraries audited, {len(faults)} known faults.\n")
    if skipped:
        sys.stdout.write(f"The service knows nothing of: {', '.join(skipped)}\n")
    return 1 if faults else 0


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["It said nothing."])[-1]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
