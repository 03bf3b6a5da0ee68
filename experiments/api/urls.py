"""Addresses of experiments under `/api/v1/`."""

from django.urls import path

from experiments.api import exports, feeding, reports, views

ONE = "experiments/<uuid:experiment_id>/"

urlpatterns = [
    path("experiments/", views.ExperimentsView.as_view(), name="experiments"),
    path("experiments/sizing/", views.SizingView.as_view(), name="experiments-sizing"),
    path(ONE, views.ExperimentView.as_view(), name="experiment"),
    path(f"{ONE}start/", views.StartExperimentView.as_view(), name="experiment-start"),
    path(f"{ONE}pause/", views.PauseExperimentView.as_view(), name="experiment-pause"),
    path(f"{ONE}resume/", views.ResumeExperimentView.as_view(), name="experiment-resume"),
    path(f"{ONE}conclude/", views.ConcludeExperimentView.as_view(), name="experiment-conclude"),
    path(f"{ONE}archive/", views.ArchiveExperimentView.as_view(), name="experiment-archive"),
    path(f"{ONE}allocations/", views.AllocationsView.as_view(), name="experiment-allocations"),
    path(f"{ONE}assign/", feeding.AssignView.as_view(), name="experiment-assign"),
    path(f"{ONE}exposures/", views.ExposuresView.as_view(), name="experiment-exposures"),
    path(f"{ONE}outcomes/", feeding.OutcomesView.as_view(), name="experiment-outcomes"),
    path(
        f"{ONE}exports/outcomes.<str:kind>", exports.OutcomesExportView.as_view(),
        name="experiment-outcomes-export",
    ),
    path(
        f"{ONE}exports/exposures.<str:kind>", exports.ExposuresExportView.as_view(),
        name="experiment-exposures-export",
    ),
    path(f"{ONE}statistics/", views.StatisticsView.as_view(), name="experiment-statistics"),
    path(f"{ONE}analysis/", views.AnalysisView.as_view(), name="experiment-analysis"),
    path(f"{ONE}policy-value/", views.PolicyValueView.as_view(), name="experiment-policy-value"),
    path(f"{ONE}report/", reports.ExperimentReportView.as_view(), name="experiment-report"),
    path(f"{ONE}analyses/", views.AnalysesView.as_view(), name="experiment-analyses"),
]  # fmt: skip
