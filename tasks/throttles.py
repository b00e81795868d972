from typing import Any

from rest_framework.request import Request

from common.routing import route_named, stored_form
from tiers.throttles import TierThrottle


class TaskStartThrottle(TierThrottle):
    """
    Count what starts a task in another way as the start that it is: who may start ten tasks in an hour does not retry a hundred.
    """

    def get_name(self, request: Request, view: Any) -> str:
        return stored_form(route_named("task-create"))

    def has_default(self, view: Any) -> bool:
        return True
