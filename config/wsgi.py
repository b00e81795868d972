import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup(set_prefix=False)

from django.urls import get_resolver  # noqa: E402 - settings have to be loaded first

from common.wsgi import Handler  # noqa: E402 - the same

application = Handler()
# Django would import the views for the first request: in each worker again, and where it fails, after the server has started.
get_resolver().url_patterns  # noqa: B018 - it is read for what it loads
