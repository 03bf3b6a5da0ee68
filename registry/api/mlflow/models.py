"""Registered models, as MLflow's clients write and read them."""

from functools import partial

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from crowetrade_site.core.api.input import caller
from registry import selectors, services
from registry.api.mlflow import input as said
from registry.api.mlflow import pages, places, wire
from registry.api.mlflow.base import MlflowView, asked, of_model
from registry.rules import filters
from registry.rules.names import OWN_TAGS
from registry.selectors import searching


def plain_tags(tags: list[dict[str, str]]) -> dict[str, str]:
    """Return tags without those of the registry, which a copied version brings along."""
    return {tag["key"]: tag["value"] for tag in tags if not tag["key"].startswith(OWN_TAGS)}


class CreateModelView(MlflowView):
    """A name for versions."""

    scopes = {"POST": "models:write"}

    def post(self, request: Request) -> Response:
        """Register it; who does owns it."""
        wanted = asked(request, said.NewModel)
        model = services.create_model(
            name=wanted["name"], card={"description": wanted["description"]},
            tags=plain_tags(wanted.get("tags", [])), actor=caller(request), at=timezone.now(),
        )  # fmt: skip
        return of_model(request, model)


class ModelView(MlflowView):
    """One model."""

    scopes = {"GET": "models:read"}

    def get(self, request: Request) -> Response:
        """Return it."""
        return of_model(request, selectors.get_model(asked(request, said.Named)["name"]))


class UpdateModelView(MlflowView):
    """What is said of a model."""

    scopes = {"PATCH": "models:write"}

    def patch(self, request: Request) -> Response:
        """Describe it anew."""
        wanted = asked(request, said.Described)
        model = services.update_model(
            name=wanted["name"], card={"description": wanted["description"]},
            actor=caller(request), at=timezone.now(),
        )  # fmt: skip
        return of_model(request, model)


class RenameModelView(MlflowView):
    """The name of a model."""

    scopes = {"POST": "models:write"}

    def post(self, request: Request) -> Response:
        """Give it another."""
        wanted = asked(request, said.Renamed)
        model = services.rename_model(
            name=wanted["name"], new_name=wanted["new_name"], actor=caller(request),
            at=timezone.now(),
        )  # fmt: skip
        return of_model(request, model)


class DeleteModelView(MlflowView):
    """The end of a model."""

    scopes = {"DELETE": "models:write"}

    def delete(self, request: Request) -> Response:
        """Delete it, unless it is part of the record."""
        wanted = asked(request, said.Named)
        services.delete_model(name=wanted["name"], actor=caller(request), at=timezone.now())
        return Response({})


class SearchModelsView(MlflowView):
    """All models."""

    scopes = {"GET": "models:read"}

    def get(self, request: Request) -> Response:
        """Return those that a filter finds."""
        wanted = asked(request, said.SearchedModels)
        models, token = pages.search(wanted, filters.MODELS, searching.search_models)
        newest = searching.list_newest(models)
        show = partial(
            wire.registered_model, newest=newest, artifacts_url=places.artifacts_url(request)
        )
        body = {"registered_models": [show(model) for model in models]}
        return Response(body | ({"next_page_token": token} if token else {}))


class LatestVersionsView(MlflowView):
    """The newest versions of a model."""

    scopes = {"GET": "models:read", "POST": "models:read"}

    def get(self, request: Request) -> Response:
        """Return the newest of each stage that is asked for; of all, those that are served.

        Without a stage it is asked for `models:/<name>/latest`, of which the client takes the
        highest number: not one that was registered last and waits, or was refused or revoked.
        """
        wanted = asked(request, said.Latest)
        stages = wire.stages_of(wanted["stages"])
        model = selectors.get_model(wanted["name"])
        found = (
            searching.list_newest([model], stages)
            if stages
            else searching.list_newest_loadable(model)
        )
        newest = wire.newest_by_word(found)
        url = places.artifacts_url(request)
        return Response({"model_versions": [wire.model_version(one, url) for one in newest]})

    post = get


class TagModelView(MlflowView):
    """A tag of a model."""

    scopes = {"POST": "models:write"}

    def post(self, request: Request) -> Response:
        """Set it."""
        wanted = asked(request, said.Tagged)
        services.tag_model(**wanted, actor=caller(request), at=timezone.now())
        return Response({})


class UntagModelView(MlflowView):
    """A tag that a model shall not have."""

    scopes = {"DELETE": "models:write"}

    def delete(self, request: Request) -> Response:
        """Take it off."""
        wanted = asked(request, said.TagOf)
        services.untag_model(**wanted, actor=caller(request), at=timezone.now())
        return Response({})
