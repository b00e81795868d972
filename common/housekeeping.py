"""
Removal of what is over, so that tables stay in proportion to what lives.
"""

from typing import Any

from django.db.models import QuerySet

BATCH = 1000


def remove(rows: QuerySet[Any], batch: int = BATCH) -> int:
    """
    Remove the rows in short statements, in the order of their keys, and return how many; each look begins where the last one ended.
    """
    removed = 0
    rows = rows.order_by("pk")
    keys = list(rows.values_list("pk", flat=True)[:batch])
    while keys:
        removed += rows.model.objects.filter(pk__in=keys).delete()[1].get(rows.model._meta.label, 0)
        keys = list(rows.filter(pk__gt=keys[-1]).values_list("pk", flat=True)[:batch])
    return removed
