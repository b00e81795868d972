import subprocess
import sys

from conftest import BASE_DIR

CODE = """
import gc
from config import memory

memory.begin()
print(gc.isenabled())
memory.is_loaded()
print(gc.isenabled(), gc.get_freeze_count() > 1000)
memory.begin()
print(gc.isenabled())
"""


def test_garbage_is_collected_again_once_all_is_loaded_and_after_a_reload() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], cwd=BASE_DIR, capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["False", "True", "True", "True"]
