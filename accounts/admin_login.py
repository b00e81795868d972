"""
The admin's login form, guarded like the login of the API, by address with django-ratelimit and by name in the authentication backend; and
the form for one's own password.
"""

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.contrib.admin.forms import AdminAuthenticationForm, AdminPasswordChangeForm
from django.contrib.auth.forms import UsernameField
from django.contrib.auth.views import PasswordChangeView
from django.core.exceptions import ValidationError
from django.forms import TextInput
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django_ratelimit.core import get_usage
from redis.exceptions import RedisError

from common.addresses import address_key, client_address
from common.exceptions import RateLimited
from common.throttling import count, outage

from .guessing import knows_password

GROUP = "admin-login"


class ShortUsernameField(UsernameField):
    """
    A username of which a page that refuses it shows no more than it may have: it would be as long as the body else.
    """

    def bound_data(self, data: Any, initial: Any) -> Any:
        return str(super().bound_data(data, initial) or "")[: self.max_length]


class LoginForm(AdminAuthenticationForm):
    username = ShortUsernameField(widget=TextInput(attrs={"autofocus": True}))


admin.site.login_form = LoginForm


class GuardedPasswordChangeForm(AdminPasswordChangeForm):
    """
    The admin's form for one's own password, whose old password is guarded against guessing as in the API.
    """

    def clean_old_password(self) -> str:
        password: str = self.cleaned_data["old_password"]
        if not knows_password(self.user, password, address=""):
            raise ValidationError(self.error_messages["password_incorrect"], code="password_incorrect")
        return password


def admin_password_change(request: HttpRequest) -> HttpResponseBase:
    """
    Show and take the form for one's own password, as `AdminSite.password_change()` does with a form that nobody can exchange.
    """
    view = PasswordChangeView.as_view(
        form_class=GuardedPasswordChangeForm,
        success_url=reverse("admin:password_change_done"),
        extra_context=admin.site.each_context(request),
    )
    return admin.site.admin_view(view)(request)


def admin_login(request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
    """
    Show the form, or log in. Raises `RateLimited` over `LOGIN_RATE_LIMIT` tries from one address.
    """
    rate = settings.LOGIN_RATE_LIMIT
    if request.method == "POST" and rate is not None and (wait := _seconds_to_wait(request, *rate)):
        raise RateLimited(wait)
    return admin.site.login(request, extra_context)


def _seconds_to_wait(request: HttpRequest, limit: int, period: int) -> int:
    """
    Count the try and return 0 if it is admitted. While Redis is away it is counted in the process, as all limits are.

    Where the counter expired between two commands, or something else lies in its place, the counters of the API count the try.
    """
    subject = address_key(client_address(request))
    usage = None
    if not outage.is_paused:
        try:
            usage = get_usage(request, group=GROUP, key=lambda *_: subject, rate=(limit, period), increment=True)
        except RedisError as exc:
            outage.begin(exc)
        except (TypeError, RecursionError):
            # JSON that is no number; of what is no JSON django-ratelimit says nothing.
            pass
        else:
            outage.end()
    if usage:
        # A window ends with its last second.
        return usage["time_left"] + 1 if usage["should_limit"] else 0
    counted = count(GROUP, f"address:{subject}", limit, period)
    return 0 if counted.is_admitted else max(1, counted.reset)
