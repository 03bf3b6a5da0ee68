"""Versions of models, as MLflow's clients register, move and read them."""

import re
from contextlib import suppress
from typing import Any
from uuid import UUID

from django.utils import timezone
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response

from crowetrade_site.core.api.input import caller
from crowetrade_site.core.errors import DomainError, Forbidden, InvalidInput
from registry import selectors, services
from registry.api.mlflow import input as said
from registry.api.mlflow import pages, places, transitions, wire
from registry.api.mlflow.base import MOVERS, MlflowView, asked, of_version
from registry.api.mlflow.models import plain_tags
from registry.api.mlflow.readiness import require_loadable
from registry.models import ModelVersion
from registry.rules import filters
from registry.selectors import searching
from registry.services.versions import VersionCard

# A tag that is not kept: it says that the same files shall be registered once more.
ALLOW_DUPLICATE = {"key": "registry.allow_duplicate", "value": "true"}
_LOGGED_MODEL = re.compile(r"m-[0-9a-f]{32}")


def _version(wanted: dict[str, Any]) -> ModelVersion:
    return selectors.get_version_of(wanted["name"], wanted["version"])


def _id(wanted: dict[str, Any]) -> UUID:
    return _version(wanted).public_id


class CreateVersionView(MlflowView):
    """The next version of a model."""

    scopes = {"POST": "models:write"}

    def post(self, request: Request) -> Response:
        """Register the files under a source; a worker looks at them, the client waits."""
        wanted = asked(request, said.NewVersion)
        tags = wanted.get("tags", [])
        logged = _LOGGED_MODEL.fullmatch(wanted["model_id"])
        card = VersionCard(
            description=wanted["description"], run_id=wanted["run_id"],
            run_link=wanted["run_link"], logged_model_id=logged[0] if logged else "",
            tags=plain_tags(tags),
        )  # fmt: skip
        try:
            version = services.register_version(
                name=wanted["name"], source=places.resolve(wanted["source"], request), card=card,
                actor=caller(request), at=timezone.now(), allow_duplicate=ALLOW_DUPLICATE in tags,
            )  # fmt: skip
        except services.SameFiles as refusal:
            tag = f"{ALLOW_DUPLICATE['key']} = true"
            raise refusal.by(f"give it the tag {tag} to register them once more") from None
        return of_version(request, version)


class VersionView(MlflowView):
    """One version."""

    scopes = {"GET": "models:read"}

    def get(self, request: Request) -> Response:
        """Return it."""
        wanted = asked(request, said.Numbered)
        shown = _version(wanted)
        return Response({"model_version": wire.model_version(shown, places.artifacts_url(request))})


class UpdateVersionView(MlflowView):
    """What is said of a version."""

    scopes = {"PATCH": "models:write"}

    def patch(self, request: Request) -> Response:
        """Describe it anew."""
        wanted = asked(request, said.DescribedVersion)
        version = services.update_version(
            version_id=_id(wanted), description=wanted["description"], actor=caller(request),
            at=timezone.now(),
        )  # fmt: skip
        return of_version(request, version)


class DeleteVersionView(MlflowView):
    """The end of a version."""

    scopes = {"DELETE": "models:write"}

    def delete(self, request: Request) -> Response:
        """Delete it, unless it is part of the record."""
        wanted = asked(request, said.Numbered)
        services.delete_version(version_id=_id(wanted), actor=caller(request), at=timezone.now())
        return Response({})


class SearchVersionsView(MlflowView):
    """All versions."""

    scopes = {"GET": "models:read"}

    def get(self, request: Request) -> Response:
        """Return those that a filter finds."""
        wanted = asked(request, said.SearchedVersions)
        versions, token = pages.search(
            wanted, filters.VERSIONS, searching.search_versions,
            lambda text: places.localized(text, request),
        )  # fmt: skip
        url = places.artifacts_url(request)
        body = {"model_versions": [wire.model_version(version, url) for version in versions]}
        return Response(body | ({"next_page_token": token} if token else {}))


class DownloadUriView(MlflowView):
    """Where the files of a version are read."""

    scopes = {"GET": "models:read"}

    def get(self, request: Request) -> Response:
        """Return the address of a folder that holds exactly them."""
        wanted = asked(request, said.Numbered)
        version = _version(wanted)
        require_loadable(version)
        return Response({"artifact_uri": places.registered_url(request, version.public_id)})


class TagVersionView(MlflowView):
    """A tag of a version."""

    scopes = {"POST": "models:write"}

    def post(self, request: Request) -> Response:
        """Set it."""
        wanted = asked(request, said.TaggedVersion)
        services.tag_version(
            version_id=_id(wanted), key=wanted["key"], value=wanted["value"],
            actor=caller(request), at=timezone.now(),
        )  # fmt: skip
        return Response({})


class UntagVersionView(MlflowView):
    """A tag that a version shall not have."""

    scopes = {"DELETE": "models:write"}

    def delete(self, request: Request) -> Response:
        """Take it off."""
        wanted = asked(request, said.TagOfVersion)
        services.untag_version(
            version_id=_id(wanted), key=wanted["key"], actor=caller(request), at=timezone.now()
        )
        return Response({})


class TransitionView(MlflowView):
    """The stage of a version."""

    scopes = {"POST": MOVERS}

    def check_permissions(self, request: Request) -> None:
        """Ask the scopes, and leave the entry that the service would leave."""
        try:
            super().check_permissions(request)
        except Forbidden as refusal:
            with suppress(APIException, DomainError):  # what names no version, or no stage
                wanted = asked(request, said.Transition)
                word = wire.stage_word(wanted["stage"])
                transitions.remember_refusal(
                    _version(wanted), word, refusal, actor=caller(request), at=timezone.now()
                )
            raise

    def post(self, request: Request) -> Response:
        """Move it, as far as gates and approvals let it."""
        wanted = asked(request, said.Transition)
        word = wire.stage_word(wanted["stage"])
        if wanted["archive_existing_versions"] and word in ("None", "Archived"):
            raise InvalidInput(f"archive_existing_versions means nothing for the stage {word}.")
        version = _version(wanted)
        transitions.move(version, word, actor=caller(request), at=timezone.now())
        return of_version(request, version)
