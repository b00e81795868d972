"""
The Celery application: `celery -A config worker` and `celery -A config beat`.

Its settings are those of Django whose names start with `CELERY_`.
"""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("config")
app.config_from_object("django.conf:settings", namespace="CELERY")
# Celery would open a connection to the database for each task; `tasks.run` drops one that is old or broken.
app.conf["CELERY_DB_REUSE_MAX"] = 1_000_000_000
app.autodiscover_tasks()
# By name: it needs the models, which are not loaded yet.
app.steps["consumer"].add("tasks.consumption:ConsumptionStep")
app.steps["worker"].add("config.connections:ConnectionsStep")
app.conf["beat_scheduler"] = "config.connections:Scheduler"
