from django.conf import settings
from django.contrib import admin
from django.urls import include
from django.urls import path as django_path

from accounts.admin_login import admin_login, admin_password_change
from common.docs import OpenAPIView, RedocView, SwaggerView
from common.health import LiveView, ReadyView
from common.metrics import MetricsView
from common.routing import API_PREFIX, path

admin.site.site_header = admin.site.site_title = settings.APP_NAME

urlpatterns = [
    django_path(API_PREFIX, include("accounts.urls")),
    django_path(API_PREFIX, include("tiers.urls")),
    django_path(API_PREFIX, include("tasks.urls")),
    # Last of the API: its paths begin with a username.
    django_path(API_PREFIX, include("posts.urls")),
    path("health", LiveView.as_view(), name="health"),
    path("health/ready", ReadyView.as_view(), name="ready"),
    path("metrics", MetricsView.as_view(), name="metrics"),
    path("openapi.json", OpenAPIView.as_view(), name="schema"),
    path("docs", SwaggerView.as_view(), name="swagger"),
    path("redoc", RedocView.as_view(), name="redoc"),
    django_path("admin/login/", admin_login),
    django_path("admin/password_change/", admin_password_change),
    django_path("admin/", admin.site.urls),
]

handler400 = "common.handlers.bad_request"
handler403 = "common.handlers.permission_denied"
handler404 = "common.handlers.page_not_found"
handler500 = "common.handlers.server_error"
