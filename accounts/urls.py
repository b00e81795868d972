from common.routing import path

from .password_views import ChangePasswordView, ForgotPasswordView, ResendVerificationView, ResetPasswordView, VerifyEmailView
from .session_views import SessionViewSet
from .views import LoginView, LogoutAllView, LogoutView, RefreshView, UserViewSet

urlpatterns = [
    path("login", LoginView.as_view(), name="login"),
    path("refresh", RefreshView.as_view(), name="refresh"),
    path("logout", LogoutView.as_view(), name="logout"),
    path("logout/all", LogoutAllView.as_view(), name="logout-all"),
    path("password/forgot", ForgotPasswordView.as_view(), name="password-forgot"),
    path("password/reset", ResetPasswordView.as_view(), name="password-reset"),
    path("email/verify", VerifyEmailView.as_view(), name="email-verify"),
    path("email/resend", ResendVerificationView.as_view(), name="email-resend"),
    path("user/me/password", ChangePasswordView.as_view(), name="password-change"),
    path("user/me/sessions", SessionViewSet.as_view({"get": "list"}), name="session-list"),
    path("user/me/sessions/<str:id>", SessionViewSet.as_view({"delete": "destroy"}), name="session-detail"),
    path("user/me/rate_limits", UserViewSet.as_view({"get": "my_rate_limits"}), name="my-rate-limits"),
    path("user", UserViewSet.as_view({"post": "create"}), name="user-create"),
    path("users", UserViewSet.as_view({"get": "list"}), name="user-list"),
    path("user/me/", UserViewSet.as_view({"get": "me"}), name="user-me"),
    path(
        "user/<str:username>", UserViewSet.as_view({"get": "retrieve", "patch": "partial_update", "delete": "destroy"}), name="user-detail"
    ),
    path("user/<str:username>/rate_limits", UserViewSet.as_view({"get": "rate_limits"}), name="user-rate-limits"),
    path("user/<str:username>/tier", UserViewSet.as_view({"get": "tier", "patch": "set_tier"}), name="user-tier"),
    path("db_user/<str:username>", UserViewSet.as_view({"delete": "destroy_row"}), name="user-row"),
]
