"""Admin actions that ask first: in a dialog of the page, or on a page of their own."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.safestring import mark_safe
from unfold.admin import ModelAdmin
from unfold.decorators import action

from crowetrade_site.core.errors import DomainError

INSIDE = "unfold/helpers/dialog.html"


def dialog_action(
    description: str, *, icon: str, dialog: dict[str, Any], permission: str = "write"
) -> Any:
    """Return unfold's action decorator with a dialog that also stands alone.

    Unfold answers with the inside of a dialog, which htmx puts into the page. A link that is
    opened in another tab asks for the same address without htmx, and is given a whole page.
    What the action's service refuses is told in the dialog, where all that was typed stays.

    Parameters
    ----------
    permission : str
        Of the page's ``has_<permission>_permission``, which is asked before anything is shown.
    """
    described = action(description=description, permissions=[permission], icon=icon, dialog=dialog)

    def decorate(verb: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        within = described(_telling(verb, dialog))

        @wraps(within)
        def either(
            model_admin: ModelAdmin, request: HttpRequest, *args: Any, **keys: Any
        ) -> HttpResponse:
            answer: HttpResponse = within(model_admin, request, *args, **keys)
            if request.headers.get("HX-Request"):
                return answer
            if "HX-Redirect" in answer.headers:
                return redirect(answer.headers["HX-Redirect"])
            return _page(model_admin, request, answer, dialog, keys.get("object_id"))

        return either

    return decorate


def _telling(
    verb: Callable[..., HttpResponse], dialog: dict[str, Any]
) -> Callable[..., HttpResponse]:
    """Return an action that shows its dialog once more, with the refusal, where there is one."""

    @wraps(verb)
    def telling(
        model_admin: ModelAdmin, request: HttpRequest, form: forms.Form, *args: Any, **keys: Any
    ) -> HttpResponse:
        try:
            return verb(model_admin, request, form, *args, **keys)
        except DomainError as refusal:
            form.add_error(None, refusal.detail)
            shown = {
                "dialog": dialog, "form": form,
                "form_submit_text": dialog.get("form_submit_text", ""),
            }  # fmt: skip
            return render(request, INSIDE, shown)

    return telling


def _page(
    model_admin: ModelAdmin, request: HttpRequest, answer: HttpResponse,
    dialog: dict[str, Any], object_id: Any,
) -> HttpResponse:  # fmt: skip
    """Return the inside of a dialog on a page of its own, from which one goes back to the row."""
    name = f"admin:{model_admin.opts.app_label}_{model_admin.opts.model_name}"
    back = reverse(f"{name}_change", args=[object_id]) if object_id else None
    shown = {
        **model_admin.admin_site.each_context(request),
        "title": dialog["title"],
        "opts": model_admin.opts,
        "back": back or reverse(f"{name}_changelist"),
        "dialog": mark_safe(answer.content.decode()),  # noqa: S308 - rendered by a template
    }
    return TemplateResponse(request, "admin/dialog.html", shown)
