from ..models import RateLimit, Tier, normalize_path


def make_tier(name: str = "gold") -> Tier:
    return Tier.objects.create(name=name)


def make_rate_limit(
    tier: Tier | None = None, path: str = "api/v1/tasks/task", limit: int = 2, period: int = 31_536_000, name: str = ""
) -> RateLimit:
    # The longest period, so that no window ends while a test runs.
    return RateLimit.objects.create(tier=tier or make_tier(), path=normalize_path(path), limit=limit, period=period, name=name)
