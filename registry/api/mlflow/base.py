"""What all views for MLflow's clients share."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.permissions import BasePermission
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from crowetrade_site.core import roles
from crowetrade_site.core.api.parsers import ShallowJSONParser
from crowetrade_site.core.api.permissions import HasScope
from registry import lifecycle, selectors
from registry.api.mlflow import errors, places, wire
from registry.api.mlflow.authentication import KeyAuthentication
from registry.models import ModelVersion, RegisteredModel
from registry.selectors import searching

MOVERS = lifecycle.MOVING_SCOPES  # of aliases too; which of them, the services say


class AnyAccept(DefaultContentNegotiation):
    """Answer in JSON whatever the client would rather have."""

    def select_renderer(
        self,
        request: Request,  # noqa: ARG002
        renderers: Iterable[BaseRenderer],
        format_suffix: str | None = None,  # noqa: ARG002
    ) -> tuple[BaseRenderer, str]:
        """Return the first renderer."""
        first = next(iter(renderers))
        return first, str(first.media_type)


class HasOneScope(HasScope):
    """Ask for a scope, or for one of several."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Return whether token and roles allow the request."""
        scopes = getattr(view, "scopes", {}).get(request.method)
        if not isinstance(scopes, tuple):
            return super().has_permission(request, view)
        if not request.user.is_authenticated:
            return False
        if roles.grants(request.user).isdisjoint(scopes):
            roles.require(request.user, scopes[0])
        return True


class MlflowView(APIView):
    """One endpoint: keys instead of sessions, MLflow's errors instead of problems."""

    authentication_classes = (KeyAuthentication,)
    permission_classes: Sequence[type[BasePermission]] = (HasOneScope,)
    parser_classes: Sequence[type[BaseParser]] = (ShallowJSONParser,)
    renderer_classes = (JSONRenderer,)
    content_negotiation_class = AnyAccept
    schema = None  # MLflow describes these addresses

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], Response]:
        """Return the one that speaks MLflow."""
        return errors.exception_handler


def asked(request: Request, kind: type[Serializer[Any]]) -> dict[str, Any]:
    """Return what a request says, checked: of a GET in its query, else in its body.

    Keys that are not known are passed over: newer clients send more, as MLflow's own server lets
    them, so the strict door of the REST interface is not for them.
    """
    said = request.query_params if request.method == "GET" else request.data
    serializer = kind(data=said)
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


def of_model(request: Request, model: RegisteredModel) -> Response:
    """Answer with a model."""
    newest = searching.list_newest([model])
    shown = wire.registered_model(model, newest, places.artifacts_url(request))
    return Response({"registered_model": shown})


def of_version(request: Request, version: ModelVersion) -> Response:
    """Answer with a version, as it stands now."""
    now = selectors.get_version(version.public_id)
    shown = wire.model_version(now, places.artifacts_url(request))
    return Response({"model_version": shown})
