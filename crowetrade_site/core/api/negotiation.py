"""Answers that are files: whatever the client says it would like, it gets the file."""

from typing import Any

from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request


class AsItIs(DefaultContentNegotiation):
    """Let ``Accept: application/octet-stream`` have the file, and a refusal be a problem."""

    def select_renderer(
        self,
        request: Request,  # noqa: ARG002
        renderers: Any,
        format_suffix: str | None = None,  # noqa: ARG002
    ) -> tuple[BaseRenderer, str]:
        """Return the first renderer, which draws the problems."""
        return renderers[0], renderers[0].media_type
