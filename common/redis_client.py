import os
import threading
from typing import Any

from redis import ConnectionError as RedisConnectionError
from redis import Redis
from redis.connection import AbstractConnection
from redis.exceptions import ResponseError


class ThreadRedis(Redis):
    """
    A client that keeps a connection for each thread that uses it.

    redis-py takes one out of a pool for each command and puts it back, which is half of what a command costs the process. As in the pool, a
    connection that the server has closed is noticed before anything is sent, and nothing is sent twice.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._kept = threading.local()

    def execute_command(self, *args: Any, **options: Any) -> Any:
        connection = self._own_connection()
        try:
            connection.send_command(*args)  # type: ignore[no-untyped-call]
            return self.parse_response(connection, args[0], **options)  # type: ignore[no-untyped-call]
        except ResponseError:
            raise
        except BaseException:
            # A task that is stopped here would leave its answer to whoever asks next.
            connection.disconnect()  # type: ignore[no-untyped-call]
            raise

    def _own_connection(self) -> AbstractConnection:
        connection: AbstractConnection | None = getattr(self._kept, "connection", None)
        # A thread that forks leaves its connection to the parent.
        if connection is None or connection.pid != os.getpid():
            connection = self._kept.connection = self.connection_pool.connection_class(**self.connection_pool.connection_kwargs)
        elif connection.is_connected:
            try:
                if not connection.can_read():
                    return connection
            except RedisConnectionError:
                pass
            # It was closed, or holds an answer that nobody waited for.
            connection.disconnect()  # type: ignore[no-untyped-call]
        return connection
