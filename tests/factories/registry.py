"""The smallest valid models and versions, with real files in the store."""

from datetime import date, datetime, timedelta
from itertools import count
from typing import Any

from django.contrib.auth.models import User

from crowetrade_site.core import storage
from crowetrade_site.core.models import AuditEvent
from crowetrade_site.core.roles import Role
from registry import services
from registry.lifecycle import EvidenceStatus, Stage, VersionStatus
from registry.models import Evidence, ModelVersion, PromotionRequest, RegisteredModel
from registry.rules.policies import OF_A_RUN, OF_OTHER_EVIDENCE, GateKind
from registry.services.versions import VersionCard
from tests.factories.accounts import account
from tests.factories.backtests import AT

_numbers = count(1)
CARD: dict[str, Any] = {
    "desk": "g10", "purpose": "Timing of majors.", "tier": "high", "operators": ["ops"],
    "limits": {"instruments": ["EURUSD"], "gross": 1.0}, "review_date": date(2099, 1, 1),
}  # fmt: skip
SIGNATURE = {"inputs": [{"name": "x", "type": "double"}], "outputs": [{"type": "double"}]}
FIGURES: dict[str, dict[str, Any]] = {
    GateKind.BACKTEST: {"n_bars": 2520, "fills_look_ahead": 0},
    GateKind.WALK_FORWARD: {"sharpe": 0.8, "fills_look_ahead": 0},
    GateKind.DEFLATED_SHARPE: {"probability": 0.97, "fills_look_ahead": 0},
    GateKind.PBO: {"probability": 0.2, "fills_look_ahead": 0},
    GateKind.DATA_QUALITY: {"n_errors": 0},
    GateKind.CAUSALITY: {"n_cuts": 9, "n_differing": 0, "n_responding": 9},  # of the backtest
    GateKind.REPRODUCTION: {"is_identical": True},  # of the run before it
}


def registered_model(owner: User, name: str = "", **card: Any) -> RegisteredModel:
    """Register a name with a complete card."""
    name = name or f"model-{next(_numbers)}"
    return services.create_model(name=name, card=CARD | card, actor=owner, at=AT)


def hand_in(owner: User, *, content: bytes = b"", folder: str = "") -> str:
    """Store one parameter file and return the folder it is in."""
    number = next(_numbers)
    folder = folder or f"desk/upload-{number}"
    content = content or f'{{"lookback_days": {number}}}'.encode()
    services.store_file(
        path=f"{folder}/parameters.json", sha256=storage.put(content), n_bytes=len(content),
        actor=owner, at=AT,
    )  # fmt: skip
    return folder


def model_version(
    owner: User, *, model: RegisteredModel | None = None, stage: Stage = Stage.DEVELOPMENT,
    status: VersionStatus = VersionStatus.READY, content: bytes = b"",
) -> ModelVersion:  # fmt: skip
    """Register a version; its status and stage are set as if all before had happened."""
    model = model or registered_model(owner)
    version = services.register_version(
        name=model.name, source=hand_in(owner, content=content),
        card=VersionCard(signature=SIGNATURE), actor=owner, at=AT,
    )  # fmt: skip
    climbed = stage not in (Stage.DEVELOPMENT, Stage.ARCHIVED)
    ModelVersion.objects.filter(pk=version.pk).update(
        status=status, stage=stage, left_development_at=AT if climbed else None,
        was_production_at=AT if stage == Stage.PRODUCTION else None,
    )  # fmt: skip
    version.refresh_from_db()
    return version


def measure(
    version: ModelVersion, kind: str, figures: dict[str, Any], *, source: Any = "1",
    at: datetime = AT, **more: Any,
) -> Evidence:  # fmt: skip
    """Hand in one piece of measured evidence, as the job of a run does."""
    given = {"digests": {"artifact": version.digest}, "produced_at": at, "at": at}
    stored = services.record_measurements(
        version_id=version.public_id, pieces=[services.Measured(kind, figures)],
        source=f"backtests.run:{source}", **given | more,
    )  # fmt: skip
    return next(piece for piece in stored if piece.kind == kind)


def bring_evidence(
    version: ModelVersion, *kinds: str, days_ago: int = 1, at: datetime = AT, **figures: Any
) -> None:
    """Hand in measured evidence of these kinds, or of all that the default policy asks for."""
    for kind in kinds or tuple(FIGURES):
        own = {"of": _run_for(version, kind)} if kind in OF_A_RUN else {}
        measure(
            version, kind, FIGURES[kind] | own | figures, source=next(_numbers),
            produced_at=at - timedelta(days=days_ago), at=at,
        )  # fmt: skip


def _run_for(version: ModelVersion, kind: str) -> str:
    """Return the newest run that a reproduction, or a check, can be of."""
    measured = version.evidence.filter(status=EvidenceStatus.VALID, is_measured=True)
    if kind == GateKind.CAUSALITY:
        measured = measured.filter(kind=GateKind.BACKTEST)
    newest = measured.exclude(kind__in=OF_OTHER_EVIDENCE).order_by("-id").first()
    return "" if newest is None else newest.source.rpartition(":")[2]


def attest_drill(version: ModelVersion, validator: User, at: datetime = AT) -> None:
    """Hand in the kill-switch drill that the default policy asks for."""
    services.attest_evidence(
        version_id=version.public_id, topic="kill-switch-drill", summary="Stopped in 0.4 s.",
        actor=validator, at=at,
    )  # fmt: skip


def promotion(
    version: ModelVersion, requester: User, *, validator: User | None = None, at: datetime = AT
) -> PromotionRequest:
    """Bring what the default policy asks for and request the next stage up."""
    target = {Stage.TESTING: Stage.STAGING, Stage.STAGING: Stage.PRODUCTION}[Stage(version.stage)]
    bring_evidence(version, at=at)
    if target == Stage.PRODUCTION:
        attest_drill(version, validator or account(Role.VALIDATOR), at)
    return services.request_promotion(
        version_id=version.public_id, target=target, actor=requester, at=at, reason="It holds."
    )


def events_of(row: Any) -> list[str]:
    """Return the verbs of what the trail has about a row, in order."""
    about = AuditEvent.objects.filter(object_id=str(row.public_id)).order_by("id")
    return [verb.removeprefix("registry.") for verb in about.values_list("verb", flat=True)]
