from django.apps import AppConfig

from common.counters import SCRAPED


class TasksConfig(AppConfig):
    name = "tasks"

    def ready(self) -> None:
        from .counters import TaskCollector  # It needs the models, which are loaded by now.

        SCRAPED.append(TaskCollector())
