from typing import NamedTuple


class Rate(NamedTuple):
    """
    `limit` calls in `period` seconds; in the environment it is written `<calls>/<seconds>`.
    """

    limit: int
    period: int
