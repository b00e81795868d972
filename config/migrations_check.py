"""
`make migrations-check`: refuse migrations that break the code which runs while they are applied.

A web server that is not replaced yet goes on with the tables as they are after the migration: so a column is not dropped or renamed, nor
added without a value for the rows of code that knows nothing of it. What such a change needs is spread over two releases. What only locks
a table for a while is a warning.
"""

import os

import django
from django.core.management import call_command

from common.apps import own_apps

# A table that does not exist yet has no code that could break.
INITIAL = "0001_initial"


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    # No app of the project's, which would need it in production too.
    from django_migration_linter.management.commands.lintmigrations import Command

    call_command(
        Command(),
        include_apps=own_apps(),
        ignore_name=[INITIAL],
        no_cache=True,
        quiet=["ok", "ignore"],
        sql_analyser="postgresql",
    )


if __name__ == "__main__":
    from .run import start_embedded_servers

    start_embedded_servers()
    main()
