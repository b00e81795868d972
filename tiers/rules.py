"""
The limits of all tiers, kept in the process.
"""

from typing import Any, NamedTuple

from common.rates import Rate

from .models import Tier


class TierRules(NamedTuple):
    """
    A tier's name, and its rates by route in stored form.
    """

    name: str
    rates: dict[str, Rate]


class Rules:
    """
    The limits of all tiers, kept under the version that a caller saw, and read anew under another one.

    The version comes with the authentication and is never older than it: what is read after a version was seen is right under that version,
    and every write of a tier or a limit ends it.
    """

    def __init__(self) -> None:
        # One tuple, so that threads see a version only together with its rules.
        self.kept: tuple[bytes, dict[int, TierRules]] = (b"", {})

    def of_tier(self, tier_id: int | None, version: bytes | None) -> TierRules | None:
        """
        Return what holds in a tier, or `None` for none.

        Without a version the database is asked: while a write is under way, or the cache is away or switched off.
        """
        if tier_id is None:
            return None
        if version is None:
            return _read(pk=tier_id).get(tier_id)
        version_then, rules = self.kept
        if version_then != version:
            rules = _read()
            self.kept = (version, rules)
        return rules.get(tier_id)

    def of_user(self, user: Any) -> TierRules | None:
        """
        Return what holds in the tier of a user, or of an anonymous caller, who has none.
        """
        return self.of_tier(getattr(user, "tier_id", None), getattr(user, "limits_version", None))


def _read(**wanted: Any) -> dict[int, TierRules]:
    found: dict[int, TierRules] = {}
    rows = Tier.objects.filter(**wanted).values_list("pk", "name", "rate_limits__path", "rate_limits__limit", "rate_limits__period")
    for tier_id, name, path, limit, period in rows:
        rates = found.setdefault(tier_id, TierRules(name, {})).rates
        # A tier without limits is a row without one.
        if path is not None:
            rates[path] = Rate(limit, period)
    return found


rules = Rules()
