from typing import Any

from common.tests.budgets import ANONYMOUS, AdminList, Budget, Cost
from conftest import make_user

from ..models import Post
from .factories import make_post

POST = {"title": "Hello", "text": "World"}

BUDGETS = [
    Budget("createPost", "alice", "POST alice/post", Cost(sql=4, cache=3), POST),
    Budget("listPosts", ANONYMOUS, "GET alice/posts", Cost(sql=1, cache=3)),
    Budget("listPosts", ANONYMOUS, "GET alice/posts", Cost(cache=1), is_hit=True),
    Budget("listPosts", ANONYMOUS, "GET alice/posts?items_per_page=1", Cost(sql=2, cache=4)),
    Budget("listPosts", ANONYMOUS, "GET alice/posts?cursor=", Cost(sql=1)),
    Budget("listPosts", "bob", "GET alice/posts", Cost(sql=1, cache=2)),
    Budget("listPosts", "bob", "GET alice/posts", Cost(cache=2), is_hit=True),
    Budget("getPost", ANONYMOUS, "GET alice/post/{post}", Cost(sql=1, cache=3)),
    Budget("getPost", ANONYMOUS, "GET alice/post/{post}", Cost(cache=1), is_hit=True),
    Budget("getPost", "bob", "GET alice/post/{post}", Cost(sql=1, cache=2)),
    Budget("getPost", "bob", "GET alice/post/{post}", Cost(cache=2), is_hit=True),
    Budget("updatePost", "alice", "PATCH alice/post/{post}", Cost(sql=6, cache=3), {"title": "New"}),
    Budget("deletePost", "alice", "DELETE alice/post/{post}", Cost(sql=6, cache=3)),
    Budget("deletePostFromDatabase", "admin", "DELETE alice/db_post/{post}", Cost(sql=6, cache=3)),
]
ADMIN_LISTS = {Post: AdminList(lambda number: make_post(make_user(f"user{number}")), sql=5)}


def make_rows(alice: Any) -> dict[str, str]:
    return {"post": str(make_post(alice).pk)}
