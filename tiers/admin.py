from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin

from common.admin import ConflictMessagesMixin

from .models import RateLimit, Tier, made_name, route_choices


class RouteSelect(forms.Select):
    """
    A select with a search box: the select2 that Django's admin brings, fed from the page.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__({"class": "route-select", "data-theme": "admin-autocomplete", "data-width": "30em"}, **options)

    @property
    def media(self) -> forms.Media:
        # The admin's own names and order: select2 has to find jQuery before `jquery.init.js` takes it away.
        extra = "" if settings.DEBUG else ".min"
        return forms.Media(
            js=(
                f"admin/js/vendor/jquery/jquery{extra}.js",
                f"admin/js/vendor/select2/select2.full{extra}.js",
                "admin/js/jquery.init.js",
                "tiers/route_select.js",
            ),
            css={"screen": (f"admin/css/vendor/select2/select2{extra}.css", "admin/css/autocomplete.css")},
        )


class RateLimitForm(forms.ModelForm[RateLimit]):
    path = forms.ChoiceField(choices=lambda: [("", "Choose a route"), *route_choices()], widget=RouteSelect)

    class Meta:
        model = RateLimit
        fields = ("path", "limit", "period", "name")

    def clean(self) -> dict[str, Any]:
        """
        Make the name that was left blank here already: two new rows without one would look like duplicates to the formset.
        """
        values: dict[str, Any] = super().clean() or self.cleaned_data
        if not values.get("name") and {"path", "limit", "period"} <= values.keys():
            values["name"] = made_name(values["path"], values["limit"], values["period"])
        return values


class RateLimitInline(admin.TabularInline[RateLimit, Tier]):
    model = RateLimit
    form = RateLimitForm
    extra = 1


@admin.register(Tier)
class TierAdmin(ConflictMessagesMixin):
    list_display = ("name", "created_at", "updated_at")
    search_fields = ("name",)
    inlines = (RateLimitInline,)
