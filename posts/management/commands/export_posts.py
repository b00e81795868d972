from typing import Any

from django.contrib.auth import get_user_model
from django.core.management import BaseCommand, CommandError, CommandParser

from posts.tasks import export_posts
from tasks.services import enqueue


class Command(BaseCommand):
    help = "Have a worker export a user's posts as CSV; the task belongs to the user, and its result holds the text."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")

    def handle(self, *args: Any, **options: Any) -> None:
        user = get_user_model().objects.filter(username=options["username"]).first()
        if user is None:
            raise CommandError(f"There is no user '{options['username']}'.")
        task = enqueue(export_posts, user.pk, owner_id=user.pk)
        self.stdout.write(f"Task {task.pk.hex} exports the posts of '{user.username}'.")
