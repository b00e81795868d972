"""
How gunicorn serves `config.wsgi`.
"""

from config.env import load

_env = load()

bind = f"0.0.0.0:{_env.port}"
workers = _env.web_concurrency
worker_class = "gthread"
threads = 4
timeout = 30
graceful_timeout = 30
keepalive = 5
# The request's own log line says more than gunicorn's access log.
accesslog = None
loglevel = "warning"
control_socket_disable = True
