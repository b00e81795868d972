import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup(set_prefix=False)

from common.wsgi import Handler  # noqa: E402 - settings have to be loaded first

application = Handler()
