from rest_framework import serializers

from common.fields import StringField, URLField
from common.serializers import RowSerializer, StrictModelSerializer

from .models import MAX_TEXT, MAX_TITLE, MIN_TEXT, MIN_TITLE, Post


class PostSerializer(RowSerializer[Post]):
    example = {
        "id": 1,
        "title": "Hello",
        "text": "The first of many.",
        "media_url": "https://example.com/sunrise.jpg",
        "created_by_user_id": 1,
        "created_at": "2026-01-31T12:00:00Z",
    }

    created_by_user_id = serializers.IntegerField(source="author_id")

    class Meta:
        model = Post
        fields = ("id", "title", "text", "media_url", "created_by_user_id", "created_at")


class PostInputSerializer(StrictModelSerializer):
    example = {"title": "Hello", "text": "The first of many.", "media_url": "https://example.com/sunrise.jpg"}

    title = StringField(min_length=MIN_TITLE, max_length=MAX_TITLE)
    text = StringField(min_length=MIN_TEXT, max_length=MAX_TEXT)
    media_url = URLField(required=False, allow_null=True)

    class Meta:
        model = Post
        fields = ("title", "text", "media_url")
