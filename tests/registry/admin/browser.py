"""A person in the admin: pages, buttons, and what they are told."""

from typing import Any

from django.contrib.auth.models import User
from django.contrib.messages import get_messages
from django.db.models import Model
from django.test import Client
from django.urls import reverse


def login(user: User) -> Client:
    """Return the browser of somebody who has logged in."""
    browser = Client(raise_request_exception=True)
    browser.force_login(user)
    return browser


def address(row: Model, action: str = "change") -> str:
    """Return where a row's page is, or one of its buttons leads."""
    name = f"{row._meta.app_label}_{row._meta.model_name}_{action}"
    return reverse(f"admin:{name}", args=[row.pk])


def press(browser: Client, row: Model, action: str, **fields: Any) -> Any:
    """Press a button and send its dialog, as htmx does."""
    return browser.post(
        address(row, action), {"_form_submitted": "True"} | fields, headers={"HX-Request": "true"}
    )


def said(answer: Any) -> list[str]:
    """Return the messages of an answer."""
    return [str(message) for message in get_messages(answer.wsgi_request)]


def shown(browser: Client, row: Model) -> str:
    """Return the HTML of a row's page."""
    answer = browser.get(address(row))
    assert answer.status_code == 200, row
    return str(answer.content.decode())


def offered(browser: Client, row: Model, actions: tuple[str, ...]) -> set[str]:
    """Return which buttons a row's page has."""
    html = shown(browser, row)
    return {action for action in actions if address(row, action) in html}
