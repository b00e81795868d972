from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from tiers.models import Tier


class Command(BaseCommand):
    help = "Create the tier that TIER_NAME names, unless there is one of that name. Safe to repeat."

    def handle(self, *args: Any, **options: Any) -> None:
        tier, is_new = Tier.objects.get_or_create(name=settings.FIRST_TIER)
        self.stdout.write(f"Tier '{tier.name}' created." if is_new else f"Tier '{tier.name}' already exists; nothing to do.")
