"""The fast paths: units ask for their arms, outcomes come in.

Nothing here passes a serializer, and the general throttle, which counts by user, does not apply:
whoever decides thousands of times a second is one user.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any, Final
from uuid import UUID

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema
from rest_framework.exceptions import APIException, UnsupportedMediaType
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from crowetrade_site.core import hints
from crowetrade_site.core.api.authentication import TokenAuthentication
from crowetrade_site.core.api.bodies import Body
from crowetrade_site.core.api.input import caller, unknown_key
from crowetrade_site.core.api.problems import TooLarge
from crowetrade_site.core.errors import DomainError, InvalidInput, InvalidRequest, translating
from experiments.api import serializers
from experiments.intake import IntakeError, Sent, TooManyOutcomes, of_rows
from experiments.services.assigning import Meeting, Unit, assign_unit, assign_units
from experiments.services.outcomes import record_outcomes

ARROW: Final = "application/vnd.apache.arrow.stream"
JSON: Final = "application/json"
MOST_BYTES: Final = 16 * 2**20
PIECE: Final = 2**20


class AssignView(APIView):
    """The arms of units."""

    scopes = {"POST": "experiments:feed"}
    throttle_classes = ()

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer what is plain past the framework, in half the time; it has all the rest."""
        with suppress(DomainError, APIException, UnicodeDecodeError, RequestDataTooBig):
            if answer := self.plainly(request, kwargs["experiment_id"]):
                return answer
        return super().dispatch(request, *args, **kwargs)

    def plainly(self, request: HttpRequest, experiment_id: UUID) -> HttpResponse | None:
        """Return the answer to a client with a token who asks for one unit; else None.

        A refusal ends here unsaid, with nothing stored: asked again, the framework refuses alike
        and writes the problem.
        """
        keyword, _, plain = request.headers.get("Authorization", "").partition(" ")
        if request.method != "POST" or keyword != "Bearer" or request.content_type != JSON:
            return None
        asked = units_of(_parsed(request.body))
        if not isinstance(asked, Unit):
            return None
        actor, _token = TokenAuthentication().owner(plain)
        met = assign_unit(experiment_id=experiment_id, unit=asked, actor=actor, at=timezone.now())
        return HttpResponse(json.dumps(told(met), ensure_ascii=False), content_type=JSON)

    @extend_schema(
        request=serializers.UnitRequest,
        responses=PolymorphicProxySerializer(
            "Assigned", [serializers.MeetingRow, serializers.Meetings], None
        ),
    )
    def post(self, request: Request, experiment_id: UUID) -> Response:
        """Return the arm of a unit, or of several; what a unit meets once, it meets always."""
        asked = units_of(request.data)
        now, actor = timezone.now(), caller(request)
        if isinstance(asked, Unit):
            met = assign_unit(experiment_id=experiment_id, unit=asked, actor=actor, at=now)
            return Response(told(met))
        several = assign_units(experiment_id=experiment_id, units=asked, actor=actor, at=now)
        return Response({"assignments": [told(met) for met in several]})


class OutcomesView(APIView):
    """The outcomes of an experiment."""

    scopes = {"POST": "experiments:feed"}
    throttle_classes = ()

    @extend_schema(
        request={JSON: serializers.OutcomeBatch, ARROW: OpenApiTypes.BINARY},
        responses=serializers.ReceiptRow,
    )
    def post(self, request: Request, experiment_id: UUID) -> Response:
        """Take a batch, each outcome at most once; rows that are wrong are refused and counted."""
        sent = sent_of(request)
        receipt = record_outcomes(
            experiment_id=experiment_id, sent=sent, actor=caller(request), at=timezone.now()
        )
        return Response(asdict(receipt))


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise InvalidRequest("The body is no JSON that can be read.") from None


def _refuse(constant: str) -> None:
    raise ValueError(constant)  # NaN and infinity are no JSON


def told(met: Meeting) -> dict[str, Any]:
    """Return a meeting as it is answered."""
    return {
        "unit": met.unit, "arm": met.arm, "probability": met.probability,
        "allocation": met.allocation, "context": met.context, "reason": met.reason,
        "is_new": met.is_new,
    }  # fmt: skip


def units_of(body: Any) -> Unit | list[Unit]:
    """Return the unit or the units that a body asks about.

    Raises
    ------
    InvalidInput
        (422)
    """
    if not isinstance(body, Mapping):
        raise InvalidInput('Send {"unit": "..."} or {"units": [...]}.')
    _require_known(body, ("unit", "attributes", "units"))
    if "units" not in body:
        return _unit(body)
    several = body["units"]
    if "unit" in body or "attributes" in body or not isinstance(several, list):
        raise InvalidInput('Send {"unit": "..."} or {"units": [...]}, not both.')
    return [
        _unit({"unit": one} if isinstance(one, str) else one, f"units.{place}.")
        for place, one in enumerate(several)
    ]


def _unit(given: Any, within: str = "") -> Unit:
    if not isinstance(given, Mapping):
        raise InvalidInput.at(within[:-1], "a name is needed, or an object with unit, attributes.")
    _require_known(given, ("unit", "attributes"), within)
    name, attributes = given.get("unit"), given.get("attributes", {})
    if not isinstance(name, str):
        raise InvalidInput.at(f"{within}unit", "a name is needed, 1 to 256 bytes of text.")
    if not isinstance(attributes, Mapping):
        raise InvalidInput.at(f"{within}attributes", "an object is needed.")
    return Unit(name, attributes)


def _require_known(given: Mapping[str, Any], known: Sequence[str], within: str = "") -> None:
    """Refuse a key that would be passed over in silence."""
    for name in given:
        if name not in known:
            raise InvalidInput.at(
                f"{within}{hints.shown(name)}", unknown_key(hints.shown(name), known)
            )


def sent_of(request: Request) -> Sent:
    """Return the outcomes of a body, JSON or Arrow.

    Raises
    ------
    InvalidRequest, LengthRequired, Truncated, TooLarge
        It cannot be read (400), has no length (411), or is too large (413).
    InvalidInput
        It was read and is no batch of outcomes (422).
    """
    kind = (request.content_type or "").partition(";")[0].strip().lower()
    if kind not in {JSON, ARROW}:
        raise UnsupportedMediaType(kind or "none", f"Send {JSON} or {ARROW}.")
    body = whole(request)
    try:
        with translating(IntakeError, InvalidInput):
            return _of_arrow(body) if kind == ARROW else of_rows(_rows(body))
    except InvalidInput as refusal:
        if isinstance(refusal.__cause__, TooManyOutcomes):
            raise TooLarge(refusal.detail) from None
        raise


def whole(request: Request) -> bytes:
    """Return a body that may be larger than those of other requests."""
    body = Body(request, most=MOST_BYTES)
    return b"".join(iter(lambda: body.read(PIECE), b""))


def _of_arrow(body: bytes) -> Sent:
    from experiments.intake.arrow import of_stream  # pyarrow loads when it is first needed

    return of_stream(body)


def _rows(body: bytes) -> list[Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise InvalidRequest("The body is no JSON that can be read.") from None
    if not isinstance(document, dict):
        raise InvalidInput('A batch is {"outcomes": [...]}.')
    _require_known(document, ("outcomes",))
    rows = document.get("outcomes")
    if not isinstance(rows, list):
        raise InvalidInput.at("outcomes", "a list is needed.")
    return rows
