"""Addresses of strategies under `/api/v1/`."""

urlpatterns: list[object] = []
