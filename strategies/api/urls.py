"""Addresses of strategies under `/api/v1/`."""

from django.urls import path

from strategies.api import views

urlpatterns = [
    path("strategies/", views.StrategiesView.as_view(), name="strategies"),
    path("strategies/<uuid:strategy_id>/", views.StrategyView.as_view(), name="strategy"),
    path(
        "strategies/<uuid:strategy_id>/freeze/",
        views.FreezeStrategyView.as_view(),
        name="strategy-freeze",
    ),
]
