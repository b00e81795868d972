from rest_framework import serializers

from common.fields import StringField, URLField
from common.serializers import RowSerializer, StrictModelSerializer

from .models import Post


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

    title = StringField(min_length=2, max_length=30)
    text = StringField(min_length=1, max_length=63_206)
    media_url = URLField(required=False, allow_null=True)

    class Meta:
        model = Post
        fields = ("title", "text", "media_url")
