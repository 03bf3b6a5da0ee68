"""Where a version goes: every move, what it waits for, and who is offered which."""

from contextlib import suppress
from typing import Any
from uuid import uuid4

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from unfold.forms import BaseDialogForm

from crowetrade_site.core import roles
from crowetrade_site.core.admin import ReasonForm
from crowetrade_site.core.errors import DomainError
from registry import selectors, services
from registry.admin import able
from registry.admin.base import RemarkForm, dialog_action
from registry.admin.describing import DescribedVersions
from registry.admin.forms import PromotionForm, RowsForm, WaiverForm
from registry.lifecycle import RULES, ConversionTarget, Stage, VersionStatus
from registry.models import ModelVersion, Waiver
from registry.services.steps import require_author, require_contributor

NEXT = {
    Stage.DEVELOPMENT: Stage.TESTING,
    Stage.TESTING: Stage.STAGING,
    Stage.STAGING: Stage.PRODUCTION,
}
MOVES = ("submit", "rework", "revoke", "revive")


def _moving(
    description: str, *, icon: str, title: str, text: str, target: Stage, done: str,
    form: type[BaseDialogForm] = ReasonForm,
) -> Any:  # fmt: skip
    """Return the action of a move that takes no request."""

    @dialog_action(description, icon=icon, title=title, text=text, form=form)
    def moving(
        page: "MovedVersions", request: HttpRequest, form: BaseDialogForm, object_id: str
    ) -> HttpResponse:
        return page.called(
            request, services.move_version, done, object_id, target=target,
            reason=form.cleaned_data["reason"],
        )  # fmt: skip

    return moving


def _holding(description: str, *, icon: str, title: str, text: str, is_held: bool) -> Any:
    """Return the action that puts a version under legal hold, or releases it."""

    @dialog_action(description, icon=icon, title=title, text=text)
    def holding(
        page: "MovedVersions", request: HttpRequest, form: ReasonForm, object_id: str
    ) -> HttpResponse:
        done = "The version is held." if is_held else "The version is released."
        return page.called(
            request, services.hold_version, done, object_id, is_held=is_held,
            reason=form.cleaned_data["reason"],
        )  # fmt: skip

    return holding


class MovedVersions(DescribedVersions):
    """The page of a version, as far as it moves the version or lets it move."""

    def offered(self, row: ModelVersion, user: User) -> set[str]:
        """Every move, and what else the roles and the state allow; asked once a request."""
        seen: dict[str, set[str]] = vars(row)
        if "_offered" not in seen:
            seen["_offered"] = self._offered(row, user)
        return seen["_offered"]

    def _offered(self, row: ModelVersion, user: User) -> set[str]:
        held, stage = roles.roles_of(user), Stage(row.stage)
        is_own, names = row.created_by_id == user.pk, set()
        for (before, _), rule in RULES.items():
            if before == stage and rule.name in MOVES and rule.allows(held, is_own=is_own):
                names |= {rule.name} if rule.name != "submit" or _is_fit(row) else set()
            if before == stage and rule.requests & held:
                pending = row.requests.filter(status__in=selectors.PENDING_REQUESTS)
                names |= set() if pending.exists() else {"request_promotion"}
        if "models:approve" in roles.grants(user):
            names.add("release" if row.is_held else "hold")
        if roles.Role.ADMIN in held and row.status == VersionStatus.QUARANTINED:
            names |= set() if user.pk in selectors.authors_of(row) else {"waive"}
            names |= {"revoke_waiver"} if waiver_of(row) else set()
        may_write = able.allows(require_author, row, user)
        may_add = may_write and able.allows(require_contributor, row.registered_model, user)
        if may_add and any(selectors.may_become(row, target) for target in ConversionTarget):
            names.add("convert")
        return names | able.on_version(row, user)

    submit = _moving(
        "Submit to testing",
        icon="upload",
        title="Submit this version to testing",
        text="The gates of testing must be met.",
        target=Stage.TESTING,
        done="The version is in testing.",
        form=RemarkForm,
    )
    rework = _moving(
        "Rework",
        icon="build",
        title="Take this version back to development",
        text="Requests for its promotion are withdrawn.",
        target=Stage.DEVELOPMENT,
        done="The version is in development again.",
    )
    revoke = _moving(
        "Revoke",
        icon="block",
        title="Revoke this version, at once",
        text="It is archived and nothing loads it any more; its aliases end.",
        target=Stage.ARCHIVED,
        done="The version is archived.",
    )
    revive = _moving(
        "Revive",
        icon="restart_alt",
        title="Take this version out of the archive",
        text="It begins again in development.",
        target=Stage.DEVELOPMENT,
        done="The version is in development again.",
    )
    hold = _holding(
        "Hold",
        icon="gavel",
        title="Put this version under legal hold",
        text="It cannot be deleted until it is released.",
        is_held=True,
    )
    release = _holding(
        "Release",
        icon="lock_open",
        title="Release this version from its legal hold",
        text="It can be deleted again, if it never left development.",
        is_held=False,
    )

    @dialog_action(
        "Request promotion",
        icon="moving",
        title="Ask for this version to go up",
        text="Its gates are judged now and when it goes; others than you and the author approve.",
        form=PromotionForm,
        permission="view",  # the service refuses whoever may not, and puts that on record
    )
    def request_promotion(
        self, request: HttpRequest, form: RemarkForm, object_id: str
    ) -> HttpResponse:
        """Ask for the next stage."""
        version = self.get_object(request, object_id)
        target = NEXT.get(Stage(version.stage), Stage.PRODUCTION) if version else Stage.STAGING
        return self.called(
            request, services.request_promotion, "The promotion is requested.", object_id,
            target=target, reason=form.cleaned_data["reason"],
        )  # fmt: skip

    @dialog_action(
        "Convert",
        icon="transform",
        title="Convert this model to skops or ONNX",
        text="A worker does it in the sandbox; what comes out is a new version in development.",
        form=RowsForm,
    )
    def convert(self, request: HttpRequest, form: RowsForm, object_id: str) -> HttpResponse:
        """Ask for a conversion."""
        return self.called(
            request, services.convert_version, "The conversion is queued.", object_id,
            rows=form.cleaned_data["rows"], target=form.cleaned_data["target"],
            missing_values=form.cleaned_data["missing_values"],
        )  # fmt: skip

    @dialog_action(
        "Grant waiver",
        icon="verified_user",
        title="Let this quarantined version leave development",
        text="It is a pickle: opening it can run code. The waiver ends at the date that you set.",
        form=WaiverForm,
    )
    def waive(self, request: HttpRequest, form: WaiverForm, object_id: str) -> HttpResponse:
        """Grant a waiver."""
        return self.called(
            request, services.grant_waiver, "The waiver is granted.", object_id,
            expires_at=form.cleaned_data["expires_at"], reason=form.cleaned_data["reason"],
        )  # fmt: skip

    @dialog_action(
        "Revoke waiver",
        icon="remove_moderator",
        title="Take the waiver of this version back",
        text="The version goes no further by it from now on. What is in use is stopped by revoking "
        "the version.",
    )
    def revoke_waiver(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """Revoke the waiver that holds longest."""
        version = self.get_object(request, object_id)
        waiver = waiver_of(version) if version else None
        return self.called(
            request, services.revoke_waiver, "The waiver is revoked.", object_id,
            waiver_id=waiver.public_id if waiver else uuid4(), reason=form.cleaned_data["reason"],
        )  # fmt: skip


def waiver_of(version: ModelVersion) -> Waiver | None:
    """Return the waiver that holds longest."""
    granted = version.waivers.filter(revoked_at=None).select_related("granted_by")
    return granted.order_by("-expires_at").first()


def judged_of(version: ModelVersion) -> selectors.Judgement | None:
    """Judge the next stage up, once a request: the page and its buttons both ask for it.

    None where there is none, or no policy judges.
    """
    seen: dict[str, selectors.Judgement | None] = vars(version)
    if "_judged" not in seen:
        target = NEXT.get(Stage(version.stage))
        seen["_judged"] = None
        if target is not None:
            with suppress(DomainError):
                seen["_judged"] = selectors.judge(version, target, at=timezone.now())
    return seen["_judged"]


def _is_fit(version: ModelVersion) -> bool:
    """Whether every gate of the next stage is met."""
    judged = judged_of(version)
    return judged is not None and judged.report.is_met
