"""
Virtual environments with a part of the suite's libraries, made without installing any.
"""

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path


def make_venv(folder: Path, requirements: str) -> None:
    """
    Make an environment that finds these libraries of this machine's, and no other, and has their programs.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    site = next((folder / "lib").glob("python3.*/site-packages"))
    for name, marker in re.findall(r"^([a-z0-9._-]+)==\S+( ;)?", requirements, re.MULTILINE):
        try:
            files = metadata.files(name) or []
        except metadata.PackageNotFoundError:
            assert marker, f"{name} is not installed"
            continue
        for top in {file.parts[0] for file in files} - {"..", "__pycache__"}:
            if not (site / top).exists():
                (site / top).symlink_to(Path(str(metadata.distribution(name).locate_file(top))))
    for script in ("gunicorn", "celery"):
        (entry,) = metadata.entry_points(group="console_scripts", name=script)
        code = f"#!{folder}/bin/python\nimport sys\nfrom {entry.module} import {entry.attr}\nsys.exit({entry.attr}())\n"
        (folder / "bin" / script).write_text(code)
        (folder / "bin" / script).chmod(0o755)
