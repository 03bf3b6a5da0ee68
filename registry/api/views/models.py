"""Registered models over REST."""

from uuid import UUID

from django.urls import reverse
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from crowetrade_site.core.api.headers import IDEMPOTENCY_KEY, idempotency_key
from crowetrade_site.core.api.input import caller, valid
from crowetrade_site.core.api.serializers import Reason
from registry import selectors, services
from registry.api import filters, serializers
from registry.lifecycle import MOVING_SCOPES
from registry.models import RegisteredModel


def name_of(model_id: UUID) -> str:
    """Return the name that services know a model by."""
    return selectors.get_model(model_id).name


class ModelsView(ListAPIView[RegisteredModel]):
    """Registered models: list them, register another."""

    scopes = {"GET": "models:read", "POST": "models:write"}
    queryset = selectors.list_models()
    serializer_class = serializers.ModelRow
    filterset_class = filters.ModelFilter
    ordering_fields = ["created_at", "changed_at", "name"]

    @extend_schema(
        request=serializers.ModelRequest,
        responses={201: serializers.ModelResource},
        parameters=[IDEMPOTENCY_KEY],
    )
    def post(self, request: Request) -> Response:
        """Register a name; whoever does owns it."""
        wanted = valid(serializers.ModelRequest(data=request.data))
        model = services.create_model(
            name=wanted.pop("name"), tags=wanted.pop("tags"), card=wanted, actor=caller(request),
            at=timezone.now(), idempotency_key=idempotency_key(request),
        )  # fmt: skip
        return Response(
            serializers.ModelResource(model).data,
            status.HTTP_201_CREATED,
            headers={"Location": reverse("model", args=[model.public_id])},
        )


class ModelView(APIView):
    """One registered model."""

    scopes = {
        "GET": "models:read",
        "PATCH": ("models:write", "models:approve"),
        "DELETE": "models:write",
    }

    @extend_schema(responses=serializers.ModelResource)
    def get(self, request: Request, model_id: UUID) -> Response:  # noqa: ARG002
        """Return it with its card and aliases."""
        return Response(serializers.ModelResource(selectors.get_model(model_id)).data)

    @extend_schema(request=serializers.CardRequest, responses=serializers.ModelResource)
    def patch(self, request: Request, model_id: UUID) -> Response:
        """Write fields of its card."""
        wanted = valid(serializers.CardRequest(data=request.data))
        model = services.update_model(
            name=name_of(model_id), reason=wanted.pop("reason"), card=wanted,
            actor=caller(request), at=timezone.now(),
        )  # fmt: skip
        return Response(serializers.ModelResource(model).data)

    @extend_schema(parameters=[Reason], responses={204: None})
    def delete(self, request: Request, model_id: UUID) -> Response:
        """Delete it, if none of its versions ever left development."""
        wanted = valid(Reason(data=request.query_params))
        services.delete_model(
            name=name_of(model_id), actor=caller(request), at=timezone.now(),
            reason=wanted["reason"],
        )  # fmt: skip
        return Response(status=status.HTTP_204_NO_CONTENT)


class RenameModelView(APIView):
    """Another name for a model."""

    scopes = {"POST": "models:write"}

    @extend_schema(request=serializers.NewName, responses=serializers.ModelResource)
    def post(self, request: Request, model_id: UUID) -> Response:
        """Rename it; versions, evidence and history stay with it."""
        wanted = valid(serializers.NewName(data=request.data))
        model = services.rename_model(
            name=name_of(model_id), new_name=wanted["name"], actor=caller(request),
            at=timezone.now(),
        )  # fmt: skip
        return Response(serializers.ModelResource(model).data)


class ModelOwnerView(APIView):
    """Who owns a model."""

    scopes = {"POST": "models:write"}

    @extend_schema(request=serializers.OwnerRequest, responses=serializers.ModelResource)
    def post(self, request: Request, model_id: UUID) -> Response:
        """Give it to somebody else; versions keep their authors."""
        wanted = valid(serializers.OwnerRequest(data=request.data))
        model = services.transfer_model(
            name=name_of(model_id), actor=caller(request), at=timezone.now(), **wanted
        )
        return Response(serializers.ModelResource(model).data)


class ModelTagsView(APIView):
    """The tags of a model."""

    scopes = {"POST": "models:write", "DELETE": "models:write"}

    @extend_schema(request=serializers.Tag, responses=serializers.ModelResource)
    def post(self, request: Request, model_id: UUID) -> Response:
        """Set a tag."""
        wanted = valid(serializers.Tag(data=request.data))
        model = services.tag_model(
            name=name_of(model_id), actor=caller(request), at=timezone.now(), **wanted
        )
        return Response(serializers.ModelResource(model).data)

    @extend_schema(parameters=[serializers.TagKey], responses=serializers.ModelResource)
    def delete(self, request: Request, model_id: UUID) -> Response:
        """Take a tag off."""
        wanted = valid(serializers.TagKey(data=request.query_params))
        model = services.untag_model(
            name=name_of(model_id), actor=caller(request), at=timezone.now(), **wanted
        )
        return Response(serializers.ModelResource(model).data)


class ModelAliasesView(APIView):
    """The aliases of a model."""

    scopes = {"GET": "models:read", "POST": MOVING_SCOPES}

    @extend_schema(responses=serializers.AliasRow(many=True))
    def get(self, request: Request, model_id: UUID) -> Response:  # noqa: ARG002
        """List them."""
        aliases = selectors.get_model(model_id).aliases.all()
        return Response(serializers.AliasRow(aliases, many=True).data)

    @extend_schema(request=serializers.AliasRequest, responses=serializers.AliasRow)
    def post(self, request: Request, model_id: UUID) -> Response:
        """Let a word stand for a version; it moves if another version has it."""
        wanted = valid(serializers.AliasRequest(data=request.data))
        alias = services.set_alias(
            name=name_of(model_id), number=wanted.pop("version"), actor=caller(request),
            at=timezone.now(), **wanted,
        )  # fmt: skip
        return Response(serializers.AliasRow(alias).data)


class ModelAliasView(APIView):
    """One alias of a model."""

    scopes = {"DELETE": MOVING_SCOPES}

    @extend_schema(parameters=[Reason], responses={204: None})
    def delete(self, request: Request, model_id: UUID, alias: str) -> Response:
        """Take it away."""
        wanted = valid(Reason(data=request.query_params))
        services.delete_alias(
            name=name_of(model_id), alias=alias, actor=caller(request), at=timezone.now(),
            reason=wanted["reason"],
        )  # fmt: skip
        return Response(status=status.HTTP_204_NO_CONTENT)


class RollBackView(APIView):
    """The way back to the production version before."""

    scopes = {"POST": MOVING_SCOPES}

    @extend_schema(request=Reason, responses=serializers.VersionDetail)
    def post(self, request: Request, model_id: UUID) -> Response:
        """Put the earlier production version back, and archive the present one."""
        wanted = valid(Reason(data=request.data))
        version = services.roll_back(
            model_name=name_of(model_id), actor=caller(request), at=timezone.now(),
            reason=wanted["reason"],
        )  # fmt: skip
        return Response(serializers.VersionDetail(version).data)


class ModelProductionView(APIView):
    """What was in production when."""

    scopes = {"GET": "models:read"}

    @extend_schema(parameters=[serializers.MomentQuery], responses=serializers.StayRow(many=True))
    def get(self, request: Request, model_id: UUID) -> Response:
        """List every stay in production, newest first; with `at`, what was there at that time."""
        asked = valid(serializers.MomentQuery(data=request.query_params))
        stays = selectors.list_stays(selectors.get_model(model_id), at=asked.get("at"))
        return Response(serializers.StayRow(stays, many=True).data)


class ModelPolicyView(APIView):
    """The policy that judges a model."""

    scopes = {"GET": "models:read", "POST": "models:approve"}

    @extend_schema(responses=serializers.PolicyRow)
    def get(self, request: Request, model_id: UUID) -> Response:  # noqa: ARG002
        """Return the version in force."""
        policy = selectors.policy_in_force(selectors.get_model(model_id).policy)
        return Response(serializers.PolicyRow(policy).data)

    @extend_schema(request=serializers.PolicyChoice, responses=serializers.ModelResource)
    def post(self, request: Request, model_id: UUID) -> Response:
        """Let another policy judge it from now on."""
        wanted = valid(serializers.PolicyChoice(data=request.data))
        model = services.assign_policy(
            model_name=name_of(model_id), actor=caller(request), at=timezone.now(), **wanted
        )
        return Response(serializers.ModelResource(model).data)
