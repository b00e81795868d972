"""
Every way to write, over the API and in the admin: changed rows, rows that go and return, and several at once.
"""

from typing import Any

from accounts.models import User
from conftest import PASSWORD
from tiers.models import RateLimit, Tier

from ..models import Post
from .consistency import LimitRow, PostRow, State, TierRow, UserRow
from .owners import Owner, door, took

MOST_USERS, MOST_TIERS, MOST_POSTS = 2, 2, 13
# Routes that no step of the clients calls: a limit must not refuse one.
LIMITED = ("api_v1_tasks_task", "api_v1_refresh")


@door(8)
def register(me: Owner, state: State) -> bool:
    username = me.free_name(me.usernames, [user.username for user in state.users])
    if username is None or len(state.users) >= MOST_USERS:
        return False
    user = UserRow(username, me.fresh(), f"{username}-{me.written}@example.com")
    state.users.append(user)
    in_admin = me.chance.random() < 0.3
    with me.history.writing(state):
        person = {"username": username, "name": user.name, "email": user.email}
        if in_admin:
            form = {**person, "tier": "", "usable_password": "true", "password1": PASSWORD, "password2": PASSWORD}
            me.site.submit("accounts/user/add/", form)
            took(user.given, User.objects.get(username=username))
        else:
            took(user.given, me.call("POST", "user", "", {**person, "password": PASSWORD}, status=201))
    return True


@door(4)
def change_user(me: Owner, state: State) -> bool:
    user = me.user(state)
    if user is None:
        return False
    token, before = me.token(user), user.username
    user.name = me.fresh()
    changes = {"name": user.name}
    if (username := me.free_name(me.usernames, [each.username for each in state.users])) and me.chance.random() < 0.5:
        changes["username"] = user.username = username
    with me.history.writing(state):
        if me.chance.random() < 0.5:
            me.call("PATCH", f"user/{before}", token, changes)
        else:
            form = {"username": user.username, "name": user.name, "email": user.email, "is_active": "on"}
            form |= {"profile_image_url": "https://profileimageurl.com", "tier": str(user.tier.id) if user.tier else ""}
            me.site.submit(f"accounts/user/{user.given.id}/change/", form)
    return True


@door(1)
def soft_delete_users(me: Owner, state: State) -> bool:
    users = state.live_users()
    if not users:
        return False
    tokens = [me.token(user) for user in users]
    if me.chance.random() < 0.5:
        del users[1:]
    for user in users:
        user.is_deleted = True
        me.tokens.pop(user.given)
    with me.history.writing(state):
        if len(users) == 1 and me.chance.random() < 0.5:
            me.call("DELETE", f"user/{users[0].username}", tokens[0])
        else:
            me.site.act(User, "soft_delete", users)
    return True


@door(6)
def restore_users(me: Owner, state: State) -> bool:
    users = [user for user in state.users if user.is_deleted]
    if not users:
        return False
    for user in users:
        user.is_deleted = False
    with me.history.writing(state):
        me.site.act(User, "restore", users)
    return True


@door(1)
def remove_user(me: Owner, state: State) -> bool:
    user = me.user(state, is_deleted=me.chance.random() < 0.5)
    if user is None:
        return False
    state.users.remove(user)
    me.tokens.pop(user.given, None)
    with me.history.writing(state):
        match me.chance.randrange(3):
            case 0:
                me.call("DELETE", f"db_user/{user.username}", me.superuser)
            case 1:
                me.site.submit(f"accounts/user/{user.given.id}/delete/", {"post": "yes"})
            case 2:
                me.site.act(User, "delete_selected", [user], post="yes")
    return True


@door(3)
def set_tier(me: Owner, state: State) -> bool:
    users = state.live_users()
    if not users:
        return False
    tier = me.one([None, *state.tiers])
    in_admin = me.chance.random() < 0.5
    users = users if in_admin else users[:1]
    for user in users:
        user.tier = tier and tier.given
    with me.history.writing(state):
        if in_admin:
            me.site.act(User, "set_tier", users, tier=str(tier.given.id) if tier else "")
        else:
            me.call("PATCH", f"user/{users[0].username}/tier", me.superuser, {"tier_id": tier.given.id if tier else None})
    return True


@door(9)
def create_post(me: Owner, state: State) -> bool:
    user = me.user(state)
    if user is None or len(user.posts) >= MOST_POSTS:
        return False
    token, post = me.token(user), PostRow(me.fresh(), "World")
    user.posts.append(post)
    with me.history.writing(state):
        if me.chance.random() < 0.7:
            took(post.given, me.call("POST", f"{user.username}/post", token, {"title": post.title, "text": post.text}, status=201))
        else:
            me.site.submit("posts/post/add/", {"author": user.given.id, "title": post.title, "text": post.text, "media_url": ""})
            took(post.given, Post.objects.get(title=post.title))
    return True


@door(9)
def change_post(me: Owner, state: State) -> bool:
    user, post = me.post(state)
    if user is None or post is None:
        return False
    token = me.token(user)
    post.title = me.fresh()
    by_api, author = me.chance.random() < 0.6, me.user(state)
    if not by_api and author:
        # The admin may give a post to somebody else.
        user.posts.remove(post)
        author.posts.append(post)
    with me.history.writing(state):
        if by_api:
            me.call("PATCH", f"{user.username}/post/{post.given.id}", token, {"title": post.title})
        else:
            form = {"author": author and author.given.id, "title": post.title, "text": post.text, "media_url": ""}
            me.site.submit(f"posts/post/{post.given.id}/change/", form)
    return True


@door(5)
def soft_delete_posts(me: Owner, state: State) -> bool:
    user, post = me.post(state)
    if user is None or post is None:
        return False
    token = me.token(user)
    in_bulk = me.chance.random() < 0.5
    posts = state.posts_of(user)[:2] if in_bulk else [post]
    for each in posts:
        each.is_deleted = True
    with me.history.writing(state):
        if in_bulk:
            me.site.act(Post, "soft_delete", posts)
        else:
            me.call("DELETE", f"{user.username}/post/{post.given.id}", token)
    return True


@door(4)
def restore_posts(me: Owner, state: State) -> bool:
    posts = [post for user in state.users for post in user.posts if post.is_deleted]
    if not posts:
        return False
    for post in posts:
        post.is_deleted = False
    with me.history.writing(state):
        me.site.act(Post, "restore", posts)
    return True


@door(5)
def remove_posts(me: Owner, state: State) -> bool:
    user, post = me.post(state, is_deleted=me.chance.random() < 0.5)
    if user is None or post is None:
        return False
    how = me.chance.randrange(3)
    posts = user.posts[:2] if how == 2 else [post]
    user.posts = [each for each in user.posts if each not in posts]
    with me.history.writing(state):
        match how:
            case 0:
                me.call("DELETE", f"{user.username}/db_post/{post.given.id}", me.superuser)
            case 1:
                me.site.submit(f"posts/post/{post.given.id}/delete/", {"post": "yes"})
            case 2:
                me.site.act(Post, "delete_selected", posts, post="yes")
    return True


@door(4)
def create_tier(me: Owner, state: State) -> bool:
    name = me.free_name(me.tier_names, [tier.name for tier in state.tiers])
    if name is None or len(state.tiers) >= MOST_TIERS:
        return False
    tier = TierRow(name)
    state.tiers.append(tier)
    with me.history.writing(state):
        if me.chance.random() < 0.5:
            took(tier.given, me.call("POST", "tier", me.superuser, {"name": name}, status=201))
        else:
            me.site.submit("tiers/tier/add/", {"name": name, **inlines()})
            took(tier.given, Tier.objects.get(name=name))
    return True


def inlines(**first: Any) -> dict[str, Any]:
    """
    Return what the form of a tier sends about its limits: one new one at most.
    """
    total = {"rate_limits-TOTAL_FORMS": int(bool(first)), "rate_limits-INITIAL_FORMS": 0}
    return {**total, **{f"rate_limits-0-{name}": value for name, value in first.items()}}


@door(2)
def change_tier(me: Owner, state: State) -> bool:
    tier: TierRow | None = me.one(state.tiers)
    name = me.free_name(me.tier_names, [each.name for each in state.tiers])
    if tier is None or name is None:
        return False
    before, tier.name = tier.name, name
    by_api = me.chance.random() < 0.5
    path = me.one([path for path in LIMITED if path not in [limit.path for limit in tier.limits]])
    limit = LimitRow(path, me.chance.randrange(1000, 9999)) if path and not by_api else None
    tier.limits += [limit] if limit else []
    with me.history.writing(state):
        if by_api:
            me.call("PATCH", f"tier/{before}", me.superuser, {"name": name})
        else:
            form = inlines(tier=tier.given.id, path=limit.path, limit=limit.limit, period=60, name="") if limit else inlines()
            me.site.submit(f"tiers/tier/{tier.given.id}/change/", {"name": name, **form})
            if limit:
                took(limit.given, RateLimit.objects.get(tier=tier.given.id, path=limit.path))
    return True


@door(3)
def change_limit(me: Owner, state: State) -> bool:
    tier = me.one([tier for tier in state.tiers if tier.limits])
    if tier is None:
        return False
    limit: LimitRow = me.one(tier.limits)
    is_removed = me.chance.random() < 0.4
    if is_removed:
        tier.limits.remove(limit)
    else:
        limit.limit = me.chance.randrange(1000, 9999)
    with me.history.writing(state):
        path = f"tier/{tier.name}/rate_limit/{limit.given.id}"
        me.call("DELETE", path, me.superuser) if is_removed else me.call("PATCH", path, me.superuser, {"limit": limit.limit})
    return True


@door(1)
def remove_tier(me: Owner, state: State) -> bool:
    tier = me.one([tier for tier in state.tiers if tier.given not in [user.tier for user in state.users]])
    if tier is None:
        return False
    state.tiers.remove(tier)
    with me.history.writing(state):
        if me.chance.random() < 0.5:
            me.call("DELETE", f"tier/{tier.name}", me.superuser)
        else:
            me.site.act(Tier, "delete_selected", [tier], post="yes")
    return True
