"""
What runs in the background: the export of a user's posts.
"""

import csv
import io
from typing import Any

from tasks.functions import background_task
from tasks.watch import progress

from .models import Post

COLUMNS = ("id", "title", "text", "media_url", "created_at")
# The record of the task holds the whole text.
MAX_CHARACTERS = 5_000_000
# What a spreadsheet takes for a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


class ExportTooLargeError(Exception):
    pass


@background_task(queue="slow", soft_time_limit=900, time_limit=930)
def export_posts(user_id: int) -> dict[str, Any]:
    """
    Return the user's posts as CSV, oldest first, without deleted ones: `{"filename", "rows", "csv"}`.

    A text that a spreadsheet would take for a formula gets an apostrophe before it. Raises `ExportTooLargeError` past `MAX_CHARACTERS`.
    """
    posts = Post.objects.filter(author_id=user_id, deleted_at=None).order_by("id")
    total = posts.count()
    output = io.StringIO()
    writer = csv.writer(output)
    writer.writerow(COLUMNS)
    rows = 0
    for rows, post in enumerate(posts.iterator(chunk_size=200), 1):
        writer.writerow([post.pk, *map(_cell, (post.title, post.text, post.media_url)), post.created_at.isoformat()])
        if output.tell() > MAX_CHARACTERS:
            raise ExportTooLargeError(f"The export is larger than {MAX_CHARACTERS} characters.")
        progress(rows, total)
    return {"filename": f"posts-{user_id}.csv", "rows": rows, "csv": output.getvalue()}


def _cell(text: str | None) -> str:
    text = text or ""
    return f"'{text}" if text.startswith(FORMULA) else text
