"""What happened in the registry, over REST, for whoever follows it."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from crowetrade_site.core.api.input import valid
from registry import selectors
from registry.api import serializers


class EventsView(APIView):
    """The registry's events in the order of the audit trail's seals."""

    scopes = {"GET": "models:read"}

    @extend_schema(parameters=[serializers.EventsQuery], responses=serializers.EventsPage)
    def get(self, request: Request) -> Response:
        """Return the next events behind a cursor; each at least once, in order, none left out."""
        asked = valid(serializers.EventsQuery(data=request.query_params))
        events = selectors.list_events(**asked)
        page = {"events": events, "next": events[-1].cursor if events else asked["after"]}
        return Response(serializers.EventsPage(page).data)
