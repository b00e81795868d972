from typing import Any

from django import forms
from django.contrib import admin

from common.admin import ConflictMessagesMixin

from .models import RateLimit, Tier, made_name, route_choices


class RateLimitForm(forms.ModelForm[RateLimit]):
    path = forms.ChoiceField(choices=route_choices)

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
