"""What happened to a model and its versions, read off the audit trail."""

from collections.abc import Mapping
from typing import Any

from django.db.models import Q

from crowetrade_site.core.history import Happening, happening_of, kinds_of
from crowetrade_site.core.models import AuditEvent
from registry.models import ModelVersion, PromotionRequest, RegisteredModel
from registry.rules.facts import Outcome

MOST_SUBJECTS = 500  # the newest versions, and their newest requests


def gates_in_words(report: Mapping[str, Any]) -> str:
    """Return what gates answered, of the whole report that the trail keeps."""
    asked = [gate for gate in report["gates"] if gate["outcome"] != Outcome.TOLD]
    met = [gate["name"] for gate in asked if gate["outcome"] == Outcome.MET]
    others = [f"{gate['name']}: {gate['reason']}" for gate in asked if gate["name"] not in met]
    told = f"{len(met)} of {len(asked)} gates met ({', '.join(met)})" if met else "no gate met"
    return "; ".join([told, *others])


WORDS = {"report": gates_in_words, "pieces": kinds_of}


def history_of_request(request: PromotionRequest, *, limit: int = 100) -> list[Happening]:
    """Return the newest entries about one request, and none of those before or after it."""
    events = AuditEvent.objects.filter(
        object_type="registry.PromotionRequest", object_id=str(request.public_id)
    ).order_by("-at", "-id")[:limit]
    subject = f"version {request.version.number} to {request.target}"
    return [happening_of(event, subject, WORDS) for event in events]


def history_of(
    model: RegisteredModel, version: ModelVersion | None = None, *, limit: int = 100
) -> list[Happening]:
    """Return the newest entries about a model and its versions, or about one version."""
    versions = model.versions.order_by("-changed_at", "-id")
    requests = PromotionRequest.objects.filter(version__registered_model=model).order_by("-id")
    if version is not None:
        versions, requests = versions.filter(pk=version.pk), requests.filter(version=version)
    names = {("registry.RegisteredModel", str(model.public_id)): str(model)} if not version else {}
    for public_id, number in versions.values_list("public_id", "number")[:MOST_SUBJECTS]:
        names["registry.ModelVersion", str(public_id)] = f"version {number}"
    asked = requests.values_list("public_id", "version__number", "target")[:MOST_SUBJECTS]
    for public_id, number, target in asked:
        names["registry.PromotionRequest", str(public_id)] = f"version {number} to {target}"
    about = Q(pk__in=[])
    for kind in {kind for kind, _ in names}:
        about |= Q(object_type=kind, object_id__in=[key for k, key in names if k == kind])
    events = AuditEvent.objects.filter(about).order_by("-at", "-id")[:limit]
    return [
        happening_of(event, names[event.object_type, event.object_id], WORDS) for event in events
    ]
