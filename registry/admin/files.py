"""The files of a version in the admin: downloads, and short documents as text."""

from typing import IO, Any

from django.contrib import messages
from django.http import FileResponse, HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone

from crowetrade_site.core import roles
from crowetrade_site.core.errors import DomainError
from registry import selectors, services
from registry.admin.base import person
from registry.artifacts.manifest import FileEntry
from registry.models import ModelVersion

SHOWN_SUFFIXES = (".json", ".yaml", ".yml")
MOST_SHOWN = 3
MOST_BYTES = 8_192


def download(request: HttpRequest, object_id: int) -> HttpResponseBase:
    """Hand out one file, to whom and as the API does; a refusal is told on the version's page.

    With `inspect` whoever judges gets what is served to nobody, under a name that nothing opens.
    """
    version = get_object_or_404(ModelVersion.objects.with_names(), pk=object_id)
    is_inspected = "inspect" in request.GET
    try:
        entry = selectors.get_file(version, request.GET.get("path", ""))
        file = (_inspected if is_inspected else _served)(request, version, entry)
    except DomainError as refusal:
        messages.error(request, refusal.detail)
        return redirect("admin:registry_modelversion_change", object_id)
    name = entry.path.rsplit("/", 1)[-1]
    return FileResponse(
        file, as_attachment=True, filename=f"{name}.untrusted" if is_inspected else name,
        content_type="application/octet-stream",
    )  # fmt: skip


def _served(request: HttpRequest, version: ModelVersion, entry: FileEntry) -> IO[bytes]:
    if refusal := selectors.refusal_to_serve(version, roles.roles_of(request.user)):
        raise refusal
    return services.open_file(version=version, entry=entry, at=timezone.now())


def _inspected(request: HttpRequest, version: ModelVersion, entry: FileEntry) -> IO[bytes]:
    return services.inspect_file(
        version=version, entry=entry, actor=person(request), at=timezone.now()
    )


def files_of(request: HttpRequest, version: ModelVersion) -> dict[str, Any]:
    """Return what a page shows of a version's files: whether they may leave, and short texts."""
    refusal = selectors.refusal_to_serve(version, roles.roles_of(request.user))
    if refusal is not None:
        may_inspect = selectors.may_inspect(version, request.user)
        return {"refusal": refusal.detail, "may_inspect": may_inspect, "texts": []}
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
