from typing import Any

from django.test import Client
from rest_framework.test import APIClient

from accounts.models import Session
from conftest import PASSWORD
from posts.models import Post
from tasks.models import Task

API = "/api/v1"
# Seconds, the longest period of a limit: no window of it ends while a test runs.
YEAR = 31_536_000


def registration(**fields: Any) -> dict[str, Any]:
    """
    Return the body of a registration that succeeds.
    """
    return {"name": "Carol Jones", "username": "carol", "email": "carol@example.com", "password": PASSWORD, **fields}


def log_in(client: APIClient, username: str, password: str = PASSWORD, **headers: str) -> str:
    """
    Log in, which leaves the refresh cookie in the client, and return the access token.
    """
    response = client.post(f"{API}/login", {"username": username, "password": password}, headers=headers)
    assert response.status_code == 200, response.content
    return str(response.json()["access_token"])


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def make_session(user: Any, **fields: Any) -> Session:
    session = Session.start(user, ip_address="192.0.2.1", user_agent="Browser")
    assert session is not None
    if fields:
        Session.objects.filter(pk=session.pk).update(**fields)
        session.refresh_from_db()
    return session


def make_post(author: Any, **fields: Any) -> Post:
    return Post.objects.create(author=author, **{"title": "Hello", "text": "World", **fields})


def make_task(owner: Any = None, **fields: Any) -> Task:
    return Task.objects.create(owner=owner, **{"function": "sample_background_task", "args": ["hello"], **fields})


def shown(user: Any, **fields: Any) -> dict[str, Any]:
    """
    Return a user as others read them.
    """
    return {
        "id": user.pk,
        "name": user.name,
        "username": user.username,
        "email": None,
        "profile_image_url": "https://profileimageurl.com",
        "tier_id": user.tier_id,
        **fields,
    }


def refresh_with(cookie: str, **extra: Any) -> Any:
    """
    Present a refresh token and return the answer.
    """
    client = APIClient()
    client.cookies["refresh_token"] = cookie
    return client.post(f"{API}/refresh", **extra)


def status_of(token: str) -> int:
    """
    Return what an access token is answered: 200, or 401 once it is over.
    """
    return int(APIClient().get(f"{API}/user/me/", headers=bearer(token)).status_code)


def enter_admin() -> Client:
    """
    Return the superuser's browser, logged in to the admin by its form.
    """
    browser = Client()
    response = browser.post("/admin/login/?next=/admin/", {"username": "admin", "password": PASSWORD})
    assert response.status_code == 302, response.content
    return browser
