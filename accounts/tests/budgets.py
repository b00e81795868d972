from typing import Any

from common.tests.budgets import ANONYMOUS, AdminList, Budget, Cost
from conftest import PASSWORD, make_user
from tiers.models import Tier

from ..mail_tokens import EMAIL_VERIFICATION, PASSWORD_RESET, make_token
from ..models import Session, User
from .factories import make_session, registration

NEW_PASSWORD = "An0ther-one!"
CREDENTIALS = {"username": "alice", "password": PASSWORD}
CHANGE = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
RESET = {"token": "{reset_token}", "new_password": NEW_PASSWORD}
VERIFICATION = {"token": "{verification_token}"}
ADDRESS = {"email": "alice@example.com"}

BUDGETS = [
    Budget("login", ANONYMOUS, "POST login", Cost(sql=2, limits=3), CREDENTIALS),
    Budget("refreshToken", "alice", "POST refresh", Cost(sql=3)),
    Budget("logout", "alice", "POST logout", Cost(sql=4, cache=3)),
    Budget("logoutAll", "alice", "POST logout/all", Cost(sql=6, cache=3)),
    Budget("forgotPassword", ANONYMOUS, "POST password/forgot", Cost(sql=3, limits=1, queue=1), ADDRESS),
    Budget("forgotPassword", "alice", "POST password/forgot", Cost(sql=3, cache=1, limits=1, queue=1), ADDRESS),
    Budget("resetPassword", ANONYMOUS, "POST password/reset", Cost(sql=12, cache=2), RESET),
    Budget("resetPassword", "alice", "POST password/reset", Cost(sql=12, cache=3), RESET),
    Budget("verifyEmail", ANONYMOUS, "POST email/verify", Cost(sql=2), VERIFICATION),
    Budget("verifyEmail", "alice", "POST email/verify", Cost(sql=2, cache=1), VERIFICATION),
    Budget("resendVerification", ANONYMOUS, "POST email/resend", Cost(sql=3, limits=1, queue=1), ADDRESS),
    Budget("resendVerification", "alice", "POST email/resend", Cost(sql=3, cache=1, limits=1, queue=1), ADDRESS),
    Budget("changePassword", "alice", "POST user/me/password", Cost(sql=11, cache=3, limits=3), CHANGE),
    Budget("listSessions", "alice", "GET user/me/sessions", Cost(sql=1, cache=1)),
    Budget("deleteSession", "alice", "DELETE user/me/sessions/{session}", Cost(sql=3, cache=3)),
    Budget("getMyRateLimits", "alice", "GET user/me/rate_limits", Cost(cache=1, limits=1)),
    Budget("createUser", ANONYMOUS, "POST user", Cost(sql=3, cache=2, limits=1), registration()),
    Budget("createUser", "alice", "POST user", Cost(sql=3, cache=3, limits=1), registration()),
    Budget("listUsers", ANONYMOUS, "GET users", Cost(sql=1, cache=3)),
    Budget("listUsers", ANONYMOUS, "GET users", Cost(cache=1), is_hit=True),
    Budget("listUsers", ANONYMOUS, "GET users?cursor=", Cost(sql=1)),
    Budget("listUsers", "alice", "GET users", Cost(sql=1, cache=1)),
    # A page that is full does not tell how many there are: that number is kept.
    Budget("listUsers", ANONYMOUS, "GET users?items_per_page=1", Cost(sql=2, cache=4)),
    Budget("listUsers", "alice", "GET users?items_per_page=1", Cost(sql=2, cache=4)),
    Budget("getMe", "alice", "GET user/me/", Cost(cache=1)),
    Budget("getUser", ANONYMOUS, "GET user/bob", Cost(sql=1, cache=3)),
    Budget("getUser", ANONYMOUS, "GET user/bob", Cost(cache=1), is_hit=True),
    Budget("getUser", "alice", "GET user/bob", Cost(sql=1, cache=1)),
    Budget("updateUser", "alice", "PATCH user/alice", Cost(sql=5, cache=3), {"name": "Alicia"}),
    Budget("deleteUser", "alice", "DELETE user/alice", Cost(sql=8, cache=3)),
    Budget("deleteUserFromDatabase", "admin", "DELETE db_user/alice", Cost(sql=18, cache=3)),
    Budget("getUserRateLimits", "admin", "GET user/alice/rate_limits", Cost(sql=2, cache=1)),
    Budget("getUserTier", ANONYMOUS, "GET user/alice/tier", Cost(sql=1, cache=3)),
    Budget("getUserTier", ANONYMOUS, "GET user/alice/tier", Cost(cache=1), is_hit=True),
    Budget("getUserTier", "bob", "GET user/alice/tier", Cost(sql=1, cache=1)),
    Budget("setUserTier", "admin", "PATCH user/alice/tier", Cost(sql=5, cache=3), {"tier_id": None}),
]


def user(number: int) -> User:
    made: User = make_user(f"user{number}", tier=Tier.objects.create(name=f"tier of user {number}"))
    return made


ADMIN_LISTS = {
    User: AdminList(user, sql=7),
    Session: AdminList(lambda number: make_session(user(number)), sql=5),
}


def make_rows(alice: Any) -> dict[str, str]:
    return {
        "session": str(make_session(alice).pk),
        "reset_token": make_token(PASSWORD_RESET, alice),
        "verification_token": make_token(EMAIL_VERIFICATION, alice),
    }
