from collections import defaultdict
from typing import Any

from django.core.checks import CheckMessage, Error, Tags, register

from common.routing import api_routes, stored_form


@register(Tags.urls)
def check_stored_forms(*_: Any, **__: Any) -> list[CheckMessage]:
    """
    Refuse two routes that a rate limit could not tell apart, such as `api/v1/a_b` and `api/v1/a/b`.
    """
    return stored_form_errors(api_routes())


def stored_form_errors(routes: Any) -> list[CheckMessage]:
    by_form = defaultdict(set)
    for route in routes:
        by_form[stored_form(route)].add(route)
    return [
        Error(
            f"The routes {' and '.join(sorted(same))} share the stored form {form}.",
            hint="Rename one of them: a rate limit on the one would hold on the other too.",
            id="tiers.E001",
        )
        for form, same in by_form.items()
        if len(same) > 1
    ]
