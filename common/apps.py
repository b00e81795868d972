from pathlib import Path

from django.apps import AppConfig, apps
from django.conf import settings


def own_apps() -> list[str]:
    """
    Return the names of the installed apps that are this project's own: their folders lie beside `manage.py`.
    """
    return [app.name for app in apps.get_app_configs() if Path(app.path).parent == Path(settings.BASE_DIR)]


class CommonConfig(AppConfig):
    name = "common"

    def ready(self) -> None:
        from . import checks  # noqa: F401 - registers the checks, which need the apps to be loaded
