"""
`migrate` without a limit to how long a statement may take: building an index on a large table takes as long as it takes.

The limit to waiting for a lock stays: what waits behind a migration that waits is the whole site, and a migration can be run again.
"""

from typing import Any

from django.core.management.commands import migrate
from django.db import DEFAULT_DB_ALIAS, connections


class Command(migrate.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        connection = connections[options["database"] or DEFAULT_DB_ALIAS]
        own = connection.settings_dict
        connection.settings_dict = {**own, "OPTIONS": without_timeouts(own["OPTIONS"])}
        connection.close()
        try:
            super().handle(*args, **options)
        finally:
            connection.settings_dict = own
            connection.close()


def without_timeouts(options: dict[str, Any]) -> dict[str, Any]:
    """
    Return the options of a connection on which nothing ends a statement. They win over the role's own.
    """
    given = options.get("options")
    if given is None:
        return options
    return {**options, "options": f"{given} -c statement_timeout=0 -c idle_in_transaction_session_timeout=0"}
