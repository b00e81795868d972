"""
The one settings module. Each value comes from `config.env`, which names its variable; importing this module starts nothing.
"""

from datetime import timedelta
from typing import Any, Literal

import django_stubs_ext
from kombu import Queue

from common.broker import broker_url
from common.rates import Rate
from common.signing_keys import private_key

from . import embedded
from .database import database
from .env import BASE_DIR, LOCAL_DIR, load, local_secret_key
from .env_types import mail_server
from .logs import logging_config

# Lets `ModelAdmin[Post]` and the like be written where Django's own classes take no parameters.
django_stubs_ext.monkeypatch()

ENV = load()
ENVIRONMENT = ENV.environment
EMBEDDED = embedded.addresses(LOCAL_DIR)

APP_NAME = ENV.app_name
SECRET_KEY = ENV.secret_key.get_secret_value() or local_secret_key()
SECRET_KEY_FALLBACKS = ENV.fallback_keys
DEBUG = False
ALLOWED_HOSTS = ENV.allowed_hosts or ["localhost", "127.0.0.1", "[::1]"]
CSRF_TRUSTED_ORIGINS = ENV.csrf_trusted_origins
CORS_ALLOWED_ORIGINS = ENV.cors_allowed_origins
CORS_ALLOW_CREDENTIALS = True
CORS_URLS_REGEX = r"^/api/"
CORS_ALLOW_HEADERS = ["authorization", "content-type", "idempotency-key", "if-none-match", "x-request-id"]
CORS_EXPOSE_HEADERS = ["X-Request-ID", "Retry-After", "ETag", "X-Cache", "RateLimit", "RateLimit-Policy"]
CORS_EXPOSE_HEADERS += [f"X-RateLimit-{name}" for name in ("Limit", "Remaining", "Reset")]
TRUSTED_PROXY_COUNT = ENV.trusted_proxy_count
TRUSTED_PROXY_NETWORKS = ENV.trusted_proxy_networks
MAX_BODY_BYTES = DATA_UPLOAD_MAX_MEMORY_SIZE = ENV.max_body_bytes
# More than fit into a request line of gunicorn (4,094 bytes), as unknown query parameters are ignored however many they are; forms have
# the same bound.
DATA_UPLOAD_MAX_NUMBER_FIELDS = 4094
METRICS_NETWORKS = ENV.metrics_networks
CLIENT_CACHE_MAX_AGE = ENV.client_cache_max_age

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "rest_framework_simplejwt.token_blacklist",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "common",
    "accounts",
    "tiers",
    "posts",
    "tasks",
]
MIDDLEWARE = [
    "common.metrics.MetricsMiddleware",
    "common.middleware.RequestLogMiddleware",
    "common.middleware.SecurityHeadersMiddleware",
    # Outside of what answers 304, which has to carry its headers too. Without origins there is none, nor a `Vary: Origin`.
    *(["corsheaders.middleware.CorsMiddleware"] if CORS_ALLOWED_ORIGINS else []),
    "common.middleware.RateLimitHeadersMiddleware",
    "common.middleware.ClientCacheMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "common.middleware.RefusalPageMiddleware",
]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
APPEND_SLASH = False
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

DATABASES = {"default": database(ENV, EMBEDDED)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CACHE_ENABLED = ENV.cache_enabled
RATE_LIMIT_ENABLED = ENV.rate_limit_enabled
QUEUE_ENABLED = ENV.queue_enabled


def _redis(service: Literal["cache", "rate_limit"], database: int, *, timeout: float) -> dict[str, Any]:
    return {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": ENV.redis_server(service) or EMBEDDED.redis_url(database),
        "OPTIONS": {
            "REDIS_CLIENT_CLASS": "common.redis_client.ThreadRedis",
            # By default it is pickle: who can write there would run code here.
            "SERIALIZER": "django_redis.serializers.json.JSONSerializer",
            "SOCKET_TIMEOUT": timeout,
            "SOCKET_CONNECT_TIMEOUT": timeout,
            # A retry with backoff would hold a request for seconds while Redis is away; who calls decides what an outage means.
            "CONNECTION_POOL_KWARGS": {"retry": None, "health_check_interval": 0},
        },
    }


CACHES: dict[str, dict[str, Any]] = {
    "default": _redis("cache", 0, timeout=ENV.cache_timeout_ms / 1000)
    if CACHE_ENABLED
    else {"BACKEND": "django.core.cache.backends.dummy.DummyCache"},
    "throttle": _redis("rate_limit", 1, timeout=0.25)
    if RATE_LIMIT_ENABLED
    else {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "throttle"},
}

# Each has a purpose: what takes long must not hold up the others, and mails wait for nobody.
TASK_QUEUES = ("default", "slow", "mail")
TASK_RECORD_DAYS = ENV.task_record_days
CELERY_BROKER_URL = broker_url(ENV.redis_server("queue") or EMBEDDED.redis_url(2))
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# Sending tries once, half a second at most, and does not hold the request up: what was not sent is sent again by the sweep.
CELERY_BROKER_TRANSPORT_OPTIONS = {"max_retries": 0, "socket_timeout": 5, "socket_connect_timeout": 0.5, "visibility_timeout": 3600}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_QUEUES = [Queue(name, routing_key=name) for name in TASK_QUEUES]
CELERY_TASK_ACKS_LATE = True
# The message of a process that was killed comes back; the record knows whether there is anything left to do.
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
# Local mode shows mails on the console; they are no log lines.
CELERY_WORKER_REDIRECT_STDOUTS = False
CELERY_BEAT_SCHEDULE_FILENAME = str(LOCAL_DIR / "celerybeat-schedule")
CELERY_BEAT_SCHEDULE = {
    "replay-invalidations": {"task": "common.replay_invalidations", "schedule": 5.0, "options": {"expires": 5}},
    "send-tasks-again": {"task": "tasks.sweep", "schedule": 10.0, "options": {"expires": 10}},
    "remove-old-task-records": {"task": "tasks.remove_old_records", "schedule": 3600.0, "options": {"expires": 3600}},
    "remove-expired-sessions": {"task": "accounts.remove_expired_sessions", "schedule": 3600.0, "options": {"expires": 3600}},
}

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["accounts.backends.UsernameOrEmailBackend"]
PASSWORD_HASHERS = [
    "accounts.hashers.Argon2idHasher",
    "accounts.hashers.PBKDF2Hasher",
    "accounts.hashers.ScryptHasher",
]
PASSWORD_HASH_CONCURRENCY = ENV.password_hash_concurrency
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator",
        "OPTIONS": {"user_attributes": ("username", "name", "email")},
    },
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 8}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
JWT_PRIVATE_KEY = ENV.jwt_private_key.get_secret_value().replace("\\n", "\n")
JWT_PREVIOUS_PUBLIC_KEYS = ENV.jwt_previous_public_keys.get_secret_value()
SIMPLE_JWT = {
    "ALGORITHM": ENV.algorithm,
    "SIGNING_KEY": SECRET_KEY if ENV.algorithm.startswith("HS") else JWT_PRIVATE_KEY,
    "VERIFYING_KEY": "" if ENV.algorithm.startswith("HS") else private_key(JWT_PRIVATE_KEY)[1].pem,
    "ISSUER": ENV.jwt_issuer,
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=ENV.access_token_expire_minutes),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=ENV.refresh_token_expire_days),
    "UPDATE_LAST_LOGIN": False,
}
SESSION_LIFETIME = timedelta(days=ENV.refresh_token_expire_days)
SESSION_MAX_LIFETIME = timedelta(days=ENV.session_max_days)
REFRESH_REUSE_GRACE = timedelta(seconds=ENV.refresh_reuse_grace_seconds)
AUTH_CACHE_SECONDS = ENV.auth_cache_seconds
REFRESH_COOKIE_SAMESITE = ENV.refresh_cookie_samesite
REFRESH_COOKIE_NAME = f"{ENV.refresh_cookie_prefix}refresh_token"
REFRESH_COOKIE_SECURE = not ENV.is_local or ENV.refresh_cookie_samesite == "None" or bool(ENV.refresh_cookie_prefix)

DEFAULT_RATE_LIMIT = Rate(ENV.default_rate_limit_limit, ENV.default_rate_limit_period)
LOGIN_RATE_LIMIT = ENV.login_rate_limit
LOGIN_FAILURE_LIMIT = ENV.login_failure_limit
REGISTRATION_RATE_LIMIT = ENV.registration_rate_limit
# A guard counts in its own process while the shared counter is away.
RATELIMIT_USE_CACHE = "throttle"
RATELIMIT_FAIL_OPEN = True

EMAIL_HOST, EMAIL_PORT, EMAIL_HOST_USER, EMAIL_HOST_PASSWORD, EMAIL_USE_SSL, EMAIL_USE_TLS = mail_server(ENV.email_url.get_secret_value())
EMAIL_ENABLED = bool(EMAIL_HOST) or ENV.is_local
EMAIL_BACKEND = f"django.core.mail.backends.{'smtp' if EMAIL_HOST else 'console' if ENV.is_local else 'dummy'}.EmailBackend"
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = SERVER_EMAIL = ENV.default_from_email or "no-reply@localhost"
FRONTEND_URL = ENV.frontend_url
REQUIRE_VERIFIED_EMAIL = ENV.require_verified_email
# Seconds for which the tokens in mails live.
PASSWORD_RESET_TIMEOUT = 3600
EMAIL_VERIFICATION_TIMEOUT = 3 * 24 * 3600

FIRST_SUPERUSER = {
    "name": ENV.admin_name,
    "email": ENV.admin_email,
    "username": ENV.admin_username,
    "password": ENV.admin_password.get_secret_value(),
}
FIRST_TIER = ENV.tier_name
DEFAULT_TIER = ENV.default_tier

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.authentication.BearerAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_THROTTLE_CLASSES": ["tiers.throttles.TierThrottle"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["common.parsers.JSONParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "common.parsers.JSONNegotiation",
    "DEFAULT_PAGINATION_CLASS": "common.pagination.PagePagination",
    "DEFAULT_SCHEMA_CLASS": "common.schema.AutoSchema",
    "EXCEPTION_HANDLER": "common.handlers.exception_handler",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "OAS_VERSION": "3.1.0",
    "TITLE": APP_NAME,
    "DESCRIPTION": ENV.app_description,
    "VERSION": ENV.app_version,
    "CONTACT": {key: value for key, value in {"name": ENV.contact_name, "email": ENV.contact_email}.items() if value},
    "LICENSE": {key: value for key, value in {"name": ENV.license_name}.items() if value},
    "TAGS": [
        {"name": "Login", "description": "Sessions: an access token for each call, and a cookie that buys the next one."},
        {"name": "Users", "description": "People who can log in."},
        {"name": "Posts", "description": "What users write."},
        {"name": "Tiers", "description": "Named plans that users may have."},
        {"name": "Rate limits", "description": "How many calls of a route each user of a tier has in a period."},
        {"name": "Tasks", "description": "Work in the background."},
        {"name": "Health", "description": "For whoever watches the service."},
    ],
    "ENUM_NAME_OVERRIDES": {"TaskStatus": "tasks.models.Status", "ServiceState": "common.health.STATES"},
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "GET_LIB_DOC_EXCLUDES": "common.schema_fields.doc_excludes",
    "POSTPROCESSING_HOOKS": ["drf_spectacular.hooks.postprocess_schema_enums", "common.schema.put_in_order"],
    # In the order of the URL conf.
    "SORT_OPERATIONS": False,
    "SORT_OPERATION_PARAMETERS": False,
    "COMPONENT_SPLIT_REQUEST": True,
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["common.permissions.MayReadDocs"],
    # The badge that Swagger UI shows by default asks a foreign host.
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "validatorUrl": None},
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
WHITENOISE_USE_FINDERS = WHITENOISE_AUTOREFRESH = ENV.is_local
STORAGES = {
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if ENV.is_local
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    }
}

USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = False

SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = not ENV.is_local
if not ENV.is_local:
    SECURE_SSL_REDIRECT = True
    # Whoever watches asks a web server itself, past what ends TLS.
    SECURE_REDIRECT_EXEMPT = [r"^health(/ready)?$", r"^metrics$"]
    SECURE_HSTS_SECONDS = 31_536_000
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    if TRUSTED_PROXY_COUNT:
        SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

LOGGING = logging_config(ENV.log_level, readable=ENV.is_local, file=ENV.log_file)
