"""
Numbers of rows, kept in the cache until a write changes them: `invalidate("user_count:*")` in what creates, deletes or restores a row.
"""

from collections.abc import Callable

from .cache import Entry

COUNT_SECONDS = 3600


def count_entry(key: str) -> Entry:
    return Entry(key, COUNT_SECONDS)


def kept_count(entry: Entry, count: Callable[[], int], *, owner_id: int = 0) -> int:
    """
    Return the number that the entry holds, else what `count` returns, and store that.

    Where the key names the owner of the rows, `owner_id` says whose they are: names change hands. Where Redis is away rows are counted.
    """
    if entry.body is None and not entry.is_mine:
        # One of many counts, the others wait for it: of a large table that takes long.
        entry.read_or_claim()
    if entry.body is not None:
        kept_owner_id, total = map(int, entry.body.split())
        if kept_owner_id == owner_id:
            return total
    try:
        total = count()
        # Where it cannot be stored this request has it still.
        entry.body = b"%d %d" % (owner_id, total)
        entry.write(entry.body)
    finally:
        entry.release()
    return total
