"""The routes of runs. Ids that cannot stand in one go through ``/workflows/verbs``."""

from django.urls import path

from durable_app.api.runs import detail, lists, moving, parts, verbs

RUN = "workflows/<str:workflow_id>"

urlpatterns = [
    path("workflows", lists.Runs.as_view(), name="runs"),
    path("workflows/search", lists.Search.as_view(), name="runs-search"),
    path("workflows/verbs", verbs.Verbs.as_view(), name="runs-verbs"),
    path("workflows/import", moving.Import.as_view(), name="runs-import"),
    path(RUN, detail.Run.as_view(), name="run"),
    path(f"{RUN}/steps", parts.Steps.as_view(), name="run-steps"),
    path(f"{RUN}/events", parts.Events.as_view(), name="run-events"),
    path(f"{RUN}/messages", verbs.Messages.as_view(), name="run-messages"),
    path(f"{RUN}/children", parts.Children.as_view(), name="run-children"),
    path(f"{RUN}/attempts", parts.Attempts.as_view(), name="run-attempts"),
    path(f"{RUN}/timeline", parts.RunTimeline.as_view(), name="run-timeline"),
    path(f"{RUN}/cancel", verbs.Cancel.as_view(), name="run-cancel"),
    path(f"{RUN}/resume", verbs.Resume.as_view(), name="run-resume"),
    path(f"{RUN}/run-now", verbs.RunNow.as_view(), name="run-run-now"),
    path(f"{RUN}/retry", verbs.Retry.as_view(), name="run-retry"),
    path(f"{RUN}/fork", verbs.Fork.as_view(), name="run-fork"),
    path(f"{RUN}/rewind", verbs.Rewind.as_view(), name="run-rewind"),
    path(f"{RUN}/export", moving.Export.as_view(), name="run-export"),
]
