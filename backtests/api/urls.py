"""Addresses of datasets and runs under `/api/v1/`."""

from django.urls import path

from backtests.api import views

urlpatterns = [
    path("datasets/", views.DatasetsView.as_view(), name="datasets"),
    path("datasets/<uuid:dataset_id>/", views.DatasetView.as_view(), name="dataset"),
    path("runs/", views.RunsView.as_view(), name="runs"),
    path("runs/estimate/", views.EstimateRunView.as_view(), name="run-estimate"),
    path("runs/<uuid:run_id>/", views.RunView.as_view(), name="run"),
    path("runs/<uuid:run_id>/cancel/", views.CancelRunView.as_view(), name="run-cancel"),
    path("runs/<uuid:run_id>/priority/", views.PrioritizeRunView.as_view(), name="run-priority"),
    path("runs/<uuid:run_id>/keep/", views.KeepRunView.as_view(), name="run-keep"),
    path("runs/<uuid:run_id>/trials/", views.RunTrialsView.as_view(), name="run-trials"),
    path(
        "runs/<uuid:run_id>/reproduce/",
        views.ReproduceRunView.as_view(),
        name="run-reproduce",
    ),
    path(
        "runs/<uuid:run_id>/check-causality/",
        views.CheckCausalityView.as_view(),
        name="run-check-causality",
    ),
    path("runs/<uuid:run_id>/report/", views.RunReportView.as_view(), name="run-report"),
    path("runs/<uuid:run_id>/artifacts/", views.RunArtifactsView.as_view(), name="run-artifacts"),
    path(
        "runs/<uuid:run_id>/artifacts/<str:name>/",
        views.RunArtifactView.as_view(),
        name="run-artifact",
    ),
]
