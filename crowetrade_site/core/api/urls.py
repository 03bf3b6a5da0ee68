"""Addresses of the ground floor under `/api/v1/`."""

from django.urls import path

from crowetrade_site.core.api import views

urlpatterns = [
    path("tokens/", views.TokensView.as_view(), name="tokens"),
    path("tokens/<uuid:token_id>/", views.TokenView.as_view(), name="token"),
    path("audit/", views.AuditView.as_view(), name="audit"),
]
