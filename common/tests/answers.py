"""
How tests read the API's answers.
"""

from typing import Any


def refused(response: Any) -> list[tuple[str, list[str | int]]]:
    """
    Return the type and the place of everything that a 422 complains about.
    """
    assert response.status_code == 422, response.content
    assert all(item["msg"] for item in response.json()["detail"])
    return [(item["type"], item["loc"]) for item in response.json()["detail"]]


def said(response: Any) -> tuple[int, Any]:
    """
    Return the status together with the sentence.
    """
    body = response.json()
    return response.status_code, body.get("detail", body.get("message"))
