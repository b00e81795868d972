import uuid
from typing import Any, cast

from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from common.exceptions import NotFound
from common.views import ViewSet

from .models import Session, User
from .serializers import SessionSerializer
from .sessions import SessionQuerySet


class SessionViewSet(ViewSet):
    """
    The live sessions of the user who is signed in.
    """

    queryset = Session.objects.all()
    serializer_class = SessionSerializer
    permission_classes = (IsAuthenticated,)
    tag = "Login"

    def get_queryset(self) -> SessionQuerySet:
        return Session.objects.alive().filter(user=cast("User", self.request.user))

    def destroy(self, request: Request, **path: Any) -> Response:
        """
        The tokens of that session are refused from now on. It may be the session that calls.
        """
        try:
            session_id = uuid.UUID(self.kwargs["id"])
        except ValueError:
            raise NotFound("Session not found") from None
        # Counted by what was ended: of two calls at once one finds no session.
        if not self.get_queryset().filter(pk=session_id).end():
            raise NotFound("Session not found")
        return self.say("Session ended")
