"""
Django's PostgreSQL backend, which looks whether a kept connection still stands without asking the database.
"""

import select

from django.db.backends.postgresql import base
from psycopg import OperationalError


class DatabaseWrapper(base.DatabaseWrapper):
    def is_usable(self) -> bool:
        """
        Say whether the connection can be used on.

        A server that ends a connection closes its socket, and nothing else comes in on one that is idle. So only where something has come
        in, or something went wrong before, is the database asked, which would otherwise cost every request a statement.
        """
        if self.errors_occurred:
            return super().is_usable()
        try:
            socket = self.connection.pgconn.socket if self.connection is not None else -1
        except OperationalError:
            return False
        poll = select.poll()
        poll.register(socket, select.POLLIN)
        return not poll.poll(0) or super().is_usable()
