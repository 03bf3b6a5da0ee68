"""Aliases, as MLflow's clients set and read them."""

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from crowetrade_site.core.api.input import caller
from crowetrade_site.core.errors import InvalidInput, NotFound
from registry import selectors, services
from registry.api.mlflow import input as said
from registry.api.mlflow.base import MOVERS, MlflowView, asked, of_version


class AliasView(MlflowView):
    """A word for a version."""

    scopes = {"GET": "models:read", "POST": MOVERS, "DELETE": MOVERS}

    def get(self, request: Request) -> Response:
        """Return the version; an unknown alias is a bad parameter, as on MLflow's server."""
        wanted = asked(request, said.Aliased)
        try:
            version = selectors.get_aliased(wanted["name"], wanted["alias"])
        except NotFound as unknown:
            selectors.get_model(wanted["name"])
            raise InvalidInput(unknown.detail) from None
        return of_version(request, version)

    def post(self, request: Request) -> Response:
        """Set it, or move it."""
        wanted = asked(request, said.NewAlias)
        services.set_alias(
            name=wanted["name"], alias=wanted["alias"], number=wanted["version"],
            actor=caller(request), at=timezone.now(),
        )  # fmt: skip
        return Response({})

    def delete(self, request: Request) -> Response:
        """Take it away."""
        wanted = asked(request, said.Aliased)
        services.delete_alias(**wanted, actor=caller(request), at=timezone.now())
        return Response({})
