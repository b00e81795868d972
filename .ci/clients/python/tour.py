"""
The README's tour by a generated client: register, log in, write a post, read it twice, run a task to its result.
"""

import sys
import time

from client import AuthenticatedClient, Client
from client.api.login import login
from client.api.posts import create_post, get_post, update_post
from client.api.tasks import create_task, get_task
from client.api.users import create_user
from client.models import LoginRequest, OwnUser, Post, PostCreate, PostUpdate, Task, TaskCreated, Token, UserCreate, ValidationErrors

base_url = sys.argv[1]
anyone = Client(base_url=base_url)

user = create_user.sync(
    client=anyone,  # type: ignore[arg-type]
    body=UserCreate(name="Ada Lovelace", username="ada", email="ada@example.com", password="Str1ngst!"),
)
assert isinstance(user, OwnUser), user
print("user", user.username)

token = login.sync(client=anyone, body=LoginRequest(username="ada", password="Str1ngst!"))  # type: ignore[arg-type]
assert isinstance(token, Token), token
ada = AuthenticatedClient(base_url=base_url, token=token.access_token)

post = create_post.sync("ada", client=ada, body=PostCreate(title="Hello", text="World"))
assert isinstance(post, Post), post
for _ in range(2):
    found = get_post.sync_detailed("ada", post.id, client=anyone)  # type: ignore[arg-type]
    assert isinstance(found.parsed, Post), found
    print("post", found.parsed.title, found.headers["X-Cache"])

refused = update_post.sync("ada", post.id, client=ada, body=PostUpdate(title="H"))
assert isinstance(refused, ValidationErrors), refused
print("refused", refused.detail[0].type_)

created = create_task.sync(client=ada, message="hello")
assert isinstance(created, TaskCreated), created
while True:
    task = get_task.sync(created.id, client=ada)
    assert isinstance(task, Task), task
    if task.status == "succeeded":
        print("task", task.result)
        break
    time.sleep(0.5)
