from django import forms
from django.contrib import admin

from common.admin import ConflictMessagesMixin

from .models import RateLimit, Tier, route_choices


class RateLimitForm(forms.ModelForm[RateLimit]):
    path = forms.ChoiceField(choices=route_choices)

    class Meta:
        model = RateLimit
        fields = ("path", "limit", "period", "name")


class RateLimitInline(admin.TabularInline[RateLimit, Tier]):
    model = RateLimit
    form = RateLimitForm
    extra = 1


@admin.register(Tier)
class TierAdmin(ConflictMessagesMixin):
    list_display = ("name", "created_at", "updated_at")
    search_fields = ("name",)
    inlines = (RateLimitInline,)
