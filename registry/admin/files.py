"""The files of a version in the admin: downloads, and short documents as text."""

from typing import Any

from django.contrib import messages
from django.http import FileResponse, HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone

from crowetrade_site.core import roles
from crowetrade_site.core.errors import DomainError
from registry import selectors, services
from registry.models import ModelVersion

SHOWN_SUFFIXES = (".json", ".yaml", ".yml")
MOST_SHOWN = 3
MOST_BYTES = 8_192


def download(request: HttpRequest, object_id: int) -> HttpResponseBase:
    """Hand out one file, to whom and as the API does; a refusal is told on the version's page."""
    version = get_object_or_404(ModelVersion.objects.with_names(), pk=object_id)
    try:
        if refusal := selectors.refusal_to_serve(version, roles.roles_of(request.user)):
            raise refusal
        entry = selectors.get_file(version, request.GET.get("path", ""))
        file = services.open_file(version=version, entry=entry, at=timezone.now())
    except DomainError as refusal:
        messages.error(request, refusal.detail)
        return redirect("admin:registry_modelversion_change", object_id)
    return FileResponse(
        file, as_attachment=True, filename=entry.path.rsplit("/", 1)[-1],
        content_type="application/octet-stream",
    )  # fmt: skip


def files_of(request: HttpRequest, version: ModelVersion) -> dict[str, Any]:
    """Return what a page shows of a version's files: whether they may leave, and short texts."""
    refusal = selectors.refusal_to_serve(version, roles.roles_of(request.user))
    if refusal is not None:
        return {"refusal": refusal.detail, "texts": []}
    try:
        return {"refusal": "", "texts": _texts(version)}
    except DomainError as broken:
        return {"refusal": broken.detail, "texts": []}


def _texts(version: ModelVersion) -> list[tuple[str, str]]:
    short = [
        entry
        for entry in selectors.manifest_of(version).files
        if entry.n_bytes <= MOST_BYTES and entry.path.lower().endswith(SHOWN_SUFFIXES)
    ]
    texts = []
    for entry in short[:MOST_SHOWN]:
        with services.open_file(version=version, entry=entry, at=timezone.now()) as file:
            texts.append((entry.path, file.read().decode(errors="replace")))
    return texts
