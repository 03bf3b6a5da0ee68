"""Views that go wrong in every way there is, and the project's own addresses beside them."""

from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.http import Http404
from django.urls import path
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.response import Response
from rest_framework.views import APIView

from crowetrade_site import urls
from crowetrade_site.core.api.input import valid
from crowetrade_site.core.api.parsers import ShallowJSONParser
from crowetrade_site.core.api.throttles import RequestRateThrottle
from crowetrade_site.core.errors import GateNotMet, Unavailable

handler404, handler500 = urls.handler404, urls.handler500

SECRET = "the password is swordfish"
RAISES = {
    "http404": lambda: Http404("There is no such thing here."),
    "denied": lambda: PermissionDenied(""),
    "gate": lambda: GateNotMet("Sharpe is too low.", failures=[{"gate": "sharpe"}]),
    "away": lambda: Unavailable("The broker is away."),
    "forged": lambda: SuspiciousOperation(SECRET),
    "empty": lambda: ValidationError([]),
    "bug": lambda: RuntimeError(SECRET),
}


class Leg(serializers.Serializer):
    symbol = serializers.CharField(max_length=5)
    weight = serializers.FloatField()


class Basket(serializers.Serializer):
    name = serializers.CharField()
    legs = Leg(many=True)
    tags = serializers.ListField(child=serializers.IntegerField(), required=False)

    def validate(self, attrs):
        if attrs["name"] == "bad":
            raise ValidationError("the whole is wrong")
        return attrs


class SampleView(APIView):
    scopes = {"GET": "runs:read", "POST": "runs:write"}
    parser_classes = [ShallowJSONParser]

    def get(self, request, kind):
        error = RAISES[kind]()
        raise error

    def post(self, request, kind):
        return Response(valid(Basket(data=request.data)))


class NoScopesView(APIView):
    """A view whose author forgot to say who may."""

    def get(self, request):
        return Response({"open": True})


class TwiceADay(RequestRateThrottle):
    scope = "sample"
    rate = "2/day"


class BusyView(APIView):
    scopes = {"GET": "runs:read"}
    throttle_classes = [TwiceADay]

    def get(self, request):
        return Response({})


urlpatterns = [
    path("api/v1/sample/<kind>/", SampleView.as_view()),
    path("api/v1/forgotten/", NoScopesView.as_view()),
    path("api/v1/busy/", BusyView.as_view()),
    *urls.urlpatterns,
]
