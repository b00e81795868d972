"""
How tests call a server that runs.
"""

import requests

from common.tests.servers import Server
from conftest import PASSWORD


def signed_in(server: Server, username: str) -> dict[str, str]:
    """
    Log in and return the headers of a signed-in caller.
    """
    login = requests.post(f"{server.api}/login", json={"username": username, "password": PASSWORD}, timeout=10)
    assert login.status_code == 200, login.text
    return {"Authorization": f"Bearer {login.json()['access_token']}"}
