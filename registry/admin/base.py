"""What the registry's pages share: colors of states, dialogs, and who may press anything."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any
from uuid import UUID

from django import forms
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminTextareaWidget

from crowetrade_site.core import dialogs, roles
from crowetrade_site.core.admin import ReasonForm, ServiceAdmin
from registry import selectors
from registry.lifecycle import MOVING_SCOPES, RequestStatus, Stage, VersionStatus
from registry.models import Evidence, ModelVersion
from registry.rules.policies import GateKind

MAIN_FIGURES = frozenset(
    {"probability", "sharpe", "max_drawdown", "n_bars", "n_folds", "efficiency", "n_trials",
     "is_identical", "is_same_code", "total_return"}
)  # fmt: skip
MOST_FIGURES = 7
STAGE_COLORS = {
    Stage.DEVELOPMENT: "info",
    Stage.TESTING: "warning",
    Stage.STAGING: "primary",
    Stage.PRODUCTION: "success",
}
STATUS_COLORS = {
    VersionStatus.PENDING: "info",
    VersionStatus.READY: "success",
    VersionStatus.QUARANTINED: "warning",
    VersionStatus.REFUSED: "danger",
}
REQUEST_COLORS = {
    RequestStatus.OPEN: "warning",
    RequestStatus.APPROVED: "primary",
    RequestStatus.EXECUTED: "success",
    RequestStatus.REJECTED: "danger",
}


class RemarkForm(BaseDialogForm):
    """Asks for a remark, which may be left out."""

    reason = forms.CharField(
        label="Reason",
        required=False,
        max_length=500,
        widget=UnfoldAdminTextareaWidget({"rows": 3}),
    )


def dialog_action(
    description: str, *, icon: str, title: str, text: str,
    form: type[BaseDialogForm] = ReasonForm, permission: str = "write",
) -> Any:  # fmt: skip
    """Return the decorator of an action with a dialog that has a form of its own."""
    return dialogs.dialog_action(
        description,
        icon=icon,
        permission=permission,
        dialog={
            "title": title, "description": text, "form_class": form,
            "form_submit_text": description,
        },
    )  # fmt: skip


def with_pieces(
    report: Mapping[str, Any], version: ModelVersion, known: Iterable[Evidence] = ()
) -> dict[str, Any]:
    """Return a report whose gates have the evidence that they weighed, to link to, and their topic.

    Each piece with the name of another version of the same bytes, if it was handed in for one: what
    failed there stops this one, too.
    """
    named = {digest for gate in report["gates"] for digest in gate["evidence"]}
    pieces = {piece.digest: piece for piece in known}
    if missing := named - set(pieces):
        rows = selectors.list_evidence().filter(digest__in=missing)
        pieces |= {piece.digest: piece for piece in rows}

    def named_in(gate: Mapping[str, Any]) -> list[tuple[Evidence, str]]:
        found = [pieces[digest] for digest in gate["evidence"] if digest in pieces]
        return [(one, "" if one.version_id == version.pk else str(one.version)) for one in found]

    def with_topic(gate: Mapping[str, Any]) -> dict[str, Any]:
        topic = gate["name"].partition(f"{GateKind.MANUAL}:")[2]
        return {**gate, "pieces": named_in(gate), "topic": topic}

    return {**report, "gates": [with_topic(gate) for gate in report["gates"]]}


def page_of_source(source: str) -> str:
    """Return the address of what measured, such as ``backtests.run:<id>``; empty if it has none.

    The registry never asks who that is: whatever has a page in the admin under that name has one.
    """
    place, _, key = source.partition(":")
    app, _, noun = place.partition(".")
    try:
        return reverse(f"admin:{app}_{noun}_change", args=[UUID(key)])
    except (ValueError, NoReverseMatch):
        return ""


def name_of_source(source: str) -> str:
    """Return what measured, short: ``run 1a2b3c4d`` for ``backtests.run:<id>``."""
    place, _, key = source.partition(":")
    noun = place.rpartition(".")[2]
    return f"{noun} {key[:8]}" if page_of_source(source) else source[:40]


def with_pages(evidence: Iterable[Evidence]) -> list[Evidence]:
    """Return evidence with `source_page`, the address of its source, and `main_figures`."""
    pieces = list(evidence)
    for piece in pieces:
        named = {name: value for name, value in piece.figures.items() if name != "topic"}
        order = sorted(named, key=lambda name: (name not in MAIN_FIGURES, name))
        piece.source_page = page_of_source(piece.source)  # type: ignore[attr-defined]
        piece.main_figures = [  # type: ignore[attr-defined]
            (name, _short(named[name])) for name in order[:MOST_FIGURES]
        ]
        piece.n_more_figures = max(0, len(order) - MOST_FIGURES)  # type: ignore[attr-defined]
    return pieces


def _short(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)[:60]


def person(request: HttpRequest) -> User:
    """Return who looks at a page."""
    user: User = request.user  # type: ignore[assignment]  # the admin lets nobody else in
    return user


class RegistryAdmin(ServiceAdmin):
    """Rows of the registry; each page offers what its viewer could do with it."""

    read_scope = "models:read"
    write_scope = "models:write"

    class Media:
        css = {"all": ["registry/registry.css"]}

    def has_write_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """Whether the viewer could do anything here; the service says what."""
        return not roles.grants(request.user).isdisjoint(MOVING_SCOPES)

    @staticmethod
    def is_list(request: HttpRequest) -> bool:
        """Whether a request asks for the list, and not for a row's page."""
        match = request.resolver_match
        return match is not None and str(match.url_name).endswith("changelist")

    def offered(self, row: Any, user: User) -> Collection[str]:  # noqa: ARG002
        """Return the names of the actions that make sense on a row's page; none unless told."""
        return ()

    def get_object(self, request: HttpRequest, object_id: str, from_field: Any = None) -> Any:
        """Fetch a row once a request: the page, its fields and its buttons all ask for it."""
        seen: dict[Any, Any] = request.__dict__.setdefault("_rows_seen", {})
        key = (self.opts.label, str(object_id), from_field)
        if key not in seen:
            seen[key] = super().get_object(request, object_id, from_field)
        return seen[key]

    def get_actions_detail(self, request: HttpRequest, object_id: int) -> list[Any]:
        """Offer what the row's state and the viewer's roles allow."""
        row = self.get_object(request, str(object_id))
        names = set() if row is None else set(self.offered(row, person(request)))
        prefix = f"{self.opts.app_label}_{self.opts.model_name}_"
        return [
            entry for entry in super().get_actions_detail(request, object_id)
            if entry.action_name.removeprefix(prefix) in names
        ]  # fmt: skip
