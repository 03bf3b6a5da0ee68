"""The admin's ground: read-mostly pages whose actions call the services the API calls."""

import json
from contextlib import suppress
from functools import cache
from typing import Any, ClassVar
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.views.main import SEARCH_VAR
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.core.exceptions import FieldError
from django.db import models, transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, BaseDialogForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminTextareaWidget

from crowetrade_site.core import audit, roles, services
from crowetrade_site.core.dialogs import dialog_action
from crowetrade_site.core.models import ApiToken, AuditEvent, AuditSeal


class ReasonForm(BaseDialogForm):
    """Asks why, for an action that the trail keeps."""

    reason = forms.CharField(
        label="Reason", max_length=500, widget=UnfoldAdminTextareaWidget({"rows": 3})
    )


def reasoned_action(description: str, *, icon: str, title: str, text: str) -> Any:
    """Return a decorator of actions with a dialog that asks for the reason first."""
    return dialog_action(
        description,
        icon=icon,
        dialog={
            "title": title,
            "description": text,
            "form_class": ReasonForm,
            "form_submit_text": description,
        },
    )


def preformatted(text: str) -> SafeString:
    """Show a text as it is, wrapped to the page."""
    style = "white-space: pre-wrap; overflow-wrap: anywhere"
    return format_html('<pre style="{}">{}</pre>', style, text)


@cache
def _named(field: str, label: str) -> Any:
    """Return a column that shows what a field refers to, without a link.

    One and the same function for a field: Django looks fields up in what it listed before.
    """

    @admin.display(description=label)
    def shown(row: models.Model) -> str:
        referred = getattr(row, field)
        return "–" if referred is None else str(referred)

    shown.__name__ = field  # the class of its row on the page
    return shown


class ReadOnlyAdmin(ModelAdmin):
    """Rows to look at; whoever's roles give `read_scope` may."""

    read_scope: ClassVar[str]
    empty_text: ClassVar[str] = ""  # how rows come into the list, shown where there are none
    empty_value_display = "–"
    list_fullwidth = True
    show_full_result_count = False

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Show the app to whoever may read it."""
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """Ask the roles, as the API does."""
        return self.read_scope in roles.grants(request.user)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """Rows are made by services."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """Rows are changed by services."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """Nothing is deleted here."""
        return False

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Search by the page's columns or in its own way; what no text can have is found nowhere.

        Django takes a search with a NUL for none at all, and would list every row.
        """
        if "\0" in request.GET.get(SEARCH_VAR, ""):
            return queryset.none(), False
        return self.find(request, queryset, search_term)

    def find(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Search by `search_fields`, unless a page has a way of its own."""
        return super().get_search_results(request, queryset, search_term)

    def page_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:  # noqa: ARG002
        """Return what the template of a row's page shows beside the fields."""
        return {}

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Name as plain text whatever has a page that the viewer may not open."""
        closed = self._closed(request)
        return [
            (title, {**options, "fields": [closed.get(name, name) for name in options["fields"]]})
            for title, options in super().get_fieldsets(request, obj)
        ]

    def _closed(self, request: HttpRequest) -> dict[Any, Any]:
        """Return the fields that Django would link to a page the viewer is refused."""
        pages = self.admin_site._registry  # noqa: SLF001 - there is no other way to ask
        return {
            field.name: _named(field.name, str(field.verbose_name))
            for field in self.opts.fields
            if field.is_relation
            and (page := pages.get(field.related_model)) is not None
            and not page.has_view_permission(request)
        }

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show a row; the identifier that the API gives leads here too."""
        with suppress(ValueError, FieldError):
            row = get_object_or_404(self.model, public_id=UUID(object_id))
            return redirect(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", row.pk)
        answer: HttpResponse = super().change_view(request, object_id, form_url, extra_context)
        return answer

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """Hand the page of a row that may be seen its context."""
        row = self.get_object(request, object_id) if object_id else None
        extra: dict[str, Any] = dict(extra_context or {})
        if row is not None and self.has_view_permission(request, row):
            extra |= self.page_context(request, row)
        return super().changeform_view(request, object_id, form_url, extra)


class ServiceAdmin(ReadOnlyAdmin):
    """Read-only rows with actions; each calls one service, whose refusal its dialog shows."""

    write_scope: ClassVar[str]

    def has_write_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """Whether the actions are offered."""
        return self.write_scope in roles.grants(request.user)

    def serve(self, request: HttpRequest, verb: Any, done: str, **arguments: Any) -> Any:
        """Call a service as the logged-in user and say so, ``{}`` being what it answers.

        What it refuses is raised: the dialog tells it.
        """
        answer = verb(actor=request.user, at=timezone.now(), **arguments)
        messages.success(request, done.format(answer))
        return answer

    def page_of(self, row: models.Model | None, fallback: Any = None) -> HttpResponse:
        """Send an htmx dialog to a row's page."""
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}"
        key = row.pk if row is not None else fallback
        target = reverse(f"{name}_change", args=[key]) if key else reverse(f"{name}_changelist")
        return HttpResponse(headers={"HX-Redirect": target})

    def public_id(self, object_id: Any) -> UUID:
        """Return the public name of the row an action is pressed on."""
        try:
            row = self.model.objects.only("public_id").get(pk=object_id)
        except (self.model.DoesNotExist, ValueError):
            raise Http404(f"There is no such {self.opts.verbose_name}.") from None
        return UUID(str(row.public_id))


def _page_about(event: AuditEvent) -> str:
    """Return the address of the page of what an entry is about; empty where it has none.

    Accounts and tokens have pages for admins alone, and whoever reads the trail may be none.
    """
    if event.object_type in {"auth.User", "core.ApiToken"}:
        return ""
    try:
        name = event.object_type.lower().replace(".", "_")
        return reverse(f"admin:{name}_change", args=[UUID(event.object_id)])
    except (ValueError, NoReverseMatch):
        return ""


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    """The trail, newest first, by who, what and when."""

    read_scope = "audit:read"
    empty_text = "Every change of state leaves an entry; none has happened."
    list_display = ["shown_at", "verb", "actor", "subject", "reason", "is_sealed"]
    list_filter = ["verb", "actor", "object_type"]
    list_select_related = ["auditsealitem"]
    search_fields = ["object_id", "request_id", "reason"]
    date_hierarchy = "at"
    ordering = ["-at", "-id"]
    fields = [
        "at",
        "verb",
        "actor",
        "reason",
        "subject",
        "object_type",
        "object_id",
        "request_id",
        "told",
        "content",
        "leaf_hash",
        "is_sealed",
    ]
    readonly_fields = ["subject", "told", "content", "leaf_hash", "is_sealed"]

    @admin.display(description="at (UTC)", ordering="at")
    def shown_at(self, event: AuditEvent) -> SafeString:
        """When, in one line."""
        moment = f"{event.at:%Y-%m-%d %H:%M:%S}"
        return format_html('<span style="white-space: nowrap">{}</span>', moment)

    @admin.display(description="on")
    def subject(self, event: AuditEvent) -> SafeString | str:
        """What it happened to, short, with a link where that has a page for every reader."""
        shown = f"{event.object_type.rpartition('.')[2]} {event.object_id[:8]}"
        page = _page_about(event)
        return format_html('<a href="{}" class="text-link">{}</a>', page, shown) if page else shown

    @admin.display(description="content")
    def told(self, event: AuditEvent) -> str:
        """The text with lines, to be read."""
        return preformatted(json.dumps(json.loads(event.canonical), indent=2, ensure_ascii=False))

    @admin.display(description="sealed", boolean=True)
    def is_sealed(self, event: AuditEvent) -> bool:
        """Whether a signed seal holds the entry."""
        return hasattr(event, "auditsealitem")

    @admin.display(description="canonical content")
    def content(self, event: AuditEvent) -> str:
        """The exact text that is hashed."""
        return preformatted(event.canonical)

    @admin.display(description="leaf hash")
    def leaf_hash(self, event: AuditEvent) -> str:
        """The hash in hexadecimal."""
        return bytes(event.leaf).hex()


@admin.register(AuditSeal)
class AuditSealAdmin(ReadOnlyAdmin):
    """The chain of signed roots."""

    read_scope = "audit:read"
    empty_text = "The beat seals the trail in the background; manage.py seal_audit does it at once."
    list_display = ["number", "sealed_at", "count", "seal_digest", "key_id"]
    ordering = ["-number"]
    fields = ["number", "sealed_at", "count", "statement", "seal_digest", "key_id"]
    readonly_fields = ["seal_digest"]

    @admin.display(description="digest")
    def seal_digest(self, sealed: AuditSeal) -> str:
        """The digest in hexadecimal."""
        return bytes(sealed.digest).hex()


@admin.register(ApiToken)
class ApiTokenAdmin(ServiceAdmin):
    """Everybody's tokens for an admin, without their text."""

    read_scope = write_scope = "users:write"
    empty_text = "A token is made by manage.py create_token."
    list_display = [
        "name",
        "user",
        "prefix",
        "created_at",
        "expires_at",
        "last_used_at",
        "is_valid",
    ]
    list_filter = ["user"]
    list_select_related = ["user"]
    fields = ["name", "user", "prefix", "scopes", "expires_at", "revoked_at", "last_used_at"]
    actions_detail = ["revoke"]

    @admin.display(description="valid", boolean=True)
    def is_valid(self, token: ApiToken) -> bool:
        """Whether the token opens anything now."""
        alive = token.expires_at is None or token.expires_at > timezone.now()
        return alive and token.revoked_at is None

    @reasoned_action(
        "Revoke",
        icon="block",
        title="Revoke this token",
        text="Its clients are refused from now on.",
    )
    def revoke(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """End a token."""
        token = self.serve(
            request,
            services.revoke_token,
            "The token is revoked.",
            token_id=self.public_id(object_id),
            reason=form.cleaned_data["reason"],
        )
        return self.page_of(token, object_id)


admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ModelAdmin):
    """People and their roles; every change leaves an entry in the trail."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ["username", "email", "roles_held", "is_active", "is_staff", "last_login"]
    list_filter = ["groups", "is_active"]
    filter_horizontal = ["groups"]
    fieldsets = [
        (None, {"fields": ["username", "password"]}),
        ("Person", {"fields": ["first_name", "last_name", "email"]}),
        ("Access", {"fields": ["is_active", "is_staff", "groups"]}),
    ]
    add_fieldsets = [
        (
            None,
            {
                "classes": ["wide"],
                "fields": [
                    "username",
                    "usable_password",
                    "password1",
                    "password2",
                    "is_staff",
                    "groups",
                ],
            },
        )
    ]

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[User]:
        """Fetch roles with the list."""
        return super().get_queryset(request).prefetch_related("groups")

    @admin.display(description="roles")
    def roles_held(self, user: User) -> str:
        """The user's groups, a superuser being an admin."""
        names = {group.name for group in user.groups.all()}
        return ", ".join(sorted(names | ({"admin"} if user.is_superuser else set())))

    def _may(self, request: HttpRequest) -> bool:
        return "users:write" in roles.grants(request.user)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Admins only."""
        return self._may(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """Admins only."""
        return self._may(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Admins only."""
        return self._may(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Admins only; nobody their own roles, nor whoever stands above them.

        An admin who could set a superuser's password would be one. The console account
        belongs to the machine: with a password, somebody could log in as it.
        """
        if not self._may(request) or (obj is not None and obj.username == services.CONSOLE):
            return False
        is_above = obj is not None and (obj == request.user or obj.is_superuser)
        return not is_above or request.user.is_superuser

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """People are deactivated, never deleted: the trail names them."""
        return False

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Write the trail's entry in the transaction of the change."""
        self._record(request, obj, "core.user.created", message)
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Write the trail's entry in the transaction of the change."""
        self._record(request, obj, "core.user.changed", message)
        return super().log_change(request, obj, message)

    def user_change_password(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Set a password in one transaction with the trail's entry."""
        with transaction.atomic():
            return super().user_change_password(request, *args, **kwargs)

    def _record(self, request: HttpRequest, user: User, verb: str, message: Any) -> None:
        after = {
            "username": user.username,
            "is_active": user.is_active,
            "is_staff": user.is_staff,
            "roles": sorted(user.groups.values_list("name", flat=True)),
            "fields": _changed_fields(message),
        }
        actor: User = request.user  # type: ignore[assignment]
        audit.record(verb, user, actor=actor, at=timezone.now(), reason="in the admin", after=after)


def _changed_fields(message: Any) -> list[str]:
    """Return the fields Django's own change message names; a password only by this."""
    parts = message if isinstance(message, list) else []
    return sorted(
        field for part in parts for change in part.values() for field in change.get("fields", [])
    )
