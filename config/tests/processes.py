"""
What the tests of the running shape look up about processes.
"""

import subprocess
from pathlib import Path

from common.tests.servers import Server

# Two of Linux' socket states: established, as the kernel writes them in /proc/net.
ESTABLISHED_TCP, CONNECTED_UNIX = "01", "03"


def arguments(process: "subprocess.Popen[bytes]") -> str:
    """
    Return the command lines of a process and its children, as anyone on the machine may list them.
    """
    found = subprocess.run(["ps", "-ww", "-eo", "pgid=,args="], capture_output=True, text=True, check=True).stdout.splitlines()
    return "\n".join(line for line in found if line.split(maxsplit=1)[0] == str(process.pid))


def workers(server: Server) -> set[int]:
    """
    Return the process ids of gunicorn's workers.
    """
    process = server.process.pid
    return {int(pid) for pid in Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii").split()}


def are_replaced(server: Server, before: set[int]) -> bool:
    """
    Say whether as many workers as before are there, and none of those.
    """
    now = workers(server)
    return len(now) == len(before) and not now & before


def connections(pid: int) -> set[str]:
    """
    Return the inodes of a process' connected sockets; those on which it only listens are not among them.
    """
    connected = set()
    for file, state_column, inode_column, state in (("tcp", 3, 9, ESTABLISHED_TCP), ("unix", 5, 6, CONNECTED_UNIX)):
        for line in Path(f"/proc/net/{file}").read_text(encoding="ascii").splitlines()[1:]:
            words = line.split()
            if words[state_column] == state:
                connected.add(words[inode_column])
    own = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(descriptor.readlink())
        except FileNotFoundError:
            continue
        if target.startswith("socket:["):
            own.add(target[len("socket:[") : -1])
    return own & connected


def private_bytes(pid: int) -> int:
    """
    Return how much memory of a process is its alone.
    """
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))
