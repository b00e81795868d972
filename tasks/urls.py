from common.routing import path

from .views import TaskListViewSet, TaskViewSet

urlpatterns = [
    path("tasks", TaskListViewSet.as_view({"get": "list"}), name="task-list"),
    path("tasks/task", TaskViewSet.as_view({"post": "create"}), name="task-create"),
    path("tasks/task/<str:id>", TaskViewSet.as_view({"get": "retrieve", "delete": "cancel"}), name="task-detail"),
    path("tasks/task/<str:id>/retry", TaskViewSet.as_view({"post": "retry"}), name="task-retry"),
]
