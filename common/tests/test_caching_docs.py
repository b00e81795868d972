"""
The example in docs/caching.md, executed as it stands there.
"""

import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from django.apps import apps
from django.db import connection, models, transaction
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.test import APIClient

from common.checks import cached_view_errors
from common.routing import path
from common.views import ViewSet, find
from conftest import BASE_DIR

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = (BASE_DIR / "docs" / "caching.md").read_text(encoding="utf-8")
(EXAMPLE,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


class NoteSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    text = serializers.CharField()


@pytest.fixture
def notes(settings: Any) -> Iterator[ModuleType]:
    module = ModuleType("common.tests.notes")
    names = {"models": models, "transaction": transaction, "ViewSet": ViewSet, "find": find, "AllowAny": AllowAny}
    module.__dict__.update(names, NoteSerializer=NoteSerializer)
    exec(EXAMPLE, module.__dict__)  # noqa: S102 - the page's own example
    module.urlpatterns = [path("notes/<str:id>", module.NoteViewSet.as_view({"get": "retrieve"}))]  # type: ignore[attr-defined]
    settings.ROOT_URLCONF = module
    with connection.schema_editor() as editor:
        editor.create_model(module.Note)
    yield module
    with connection.schema_editor() as editor:
        editor.delete_model(module.Note)
    del apps.all_models["common"]["note"]
    apps.clear_cache()


def test_the_example_caches_and_is_never_wrong(notes: ModuleType, client: APIClient) -> None:
    assert cached_view_errors(notes.urlpatterns) == []
    note = notes.Note(text="one")
    note.save()
    url = f"/notes/{note.pk}"
    first, second = client.get(url), client.get(url)
    assert (first["X-Cache"], second["X-Cache"]) == ("miss", "hit")
    assert second.json() == {"id": note.pk, "text": "one"}

    note.text = "two"
    note.save()
    assert client.get(url).json()["text"] == "two"
    assert client.get(url)["X-Cache"] == "hit"

    note.delete()
    assert client.get(url).status_code == 404


def test_the_example_adds_what_the_page_says() -> None:
    added = [line for line in EXAMPLE.splitlines() if "invalidate" in line or "cached" in line]

    assert len(added) == 5
