from typing import Any

from conftest import make_user

from ..models import Post


def make_post(author: Any = None, title: str = "Hello", text: str = "World", **fields: Any) -> Post:
    return Post.objects.create(author=author or make_user("author"), title=title, text=text, **fields)
