#!/bin/sh
# Becomes its arguments; a web server only where Django's deployment check has nothing to say.
set -eu
if [ "$1" = gunicorn ]; then
    python manage.py check --deploy --fail-level WARNING
fi
exec "$@"
