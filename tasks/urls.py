from common.routing import path

from .views import TaskViewSet

urlpatterns = [
    path("tasks/task", TaskViewSet.as_view({"post": "create"}), name="task-create"),
    path("tasks/task/<str:id>", TaskViewSet.as_view({"get": "retrieve"}), name="task-detail"),
]
