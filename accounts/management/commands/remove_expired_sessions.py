from typing import Any

from django.core.management.base import BaseCommand

from accounts.housekeeping import remove_expired


class Command(BaseCommand):
    help = "Remove sessions that ended or expired more than a day ago, and tokens past their expiry. Safe to repeat; runs hourly by itself."

    def handle(self, *args: Any, **options: Any) -> None:
        sessions, tokens = remove_expired()
        self.stdout.write(f"Removed {sessions} sessions and {tokens} tokens.")
