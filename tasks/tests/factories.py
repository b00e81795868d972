from typing import Any

from ..models import Task


def make_task(owner: Any = None, message: str = "hello", **fields: Any) -> Task:
    return Task.objects.create(owner=owner, function="sample_background_task", args=[message], **fields)
