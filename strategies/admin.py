"""Stored strategies in the admin."""

from typing import Any

import yaml
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from unfold.decorators import display

from crowetrade_site.core.admin import ReasonForm, ServiceAdmin, preformatted, reasoned_action
from strategies import services
from strategies.lifecycle import StrategyStatus
from strategies.models import Strategy
from strategies.pipeline.spec import StrategySpec


@admin.register(Strategy)
class StrategyAdmin(ServiceAdmin):
    """Strategy specs; a draft can be frozen."""

    read_scope, write_scope = "strategies:read", "strategies:write"
    empty_text = (
        "A strategy is stored by POST /api/v1/strategies/ and frozen here. Runs need none: their "
        "spec describes one, or names a built-in one or a version of a model."
    )
    list_display = ["name", "shown_status", "digest", "created_by", "created_at", "frozen_at"]
    list_filter = ["status", "created_by"]
    list_select_related = ["created_by"]
    search_fields = ["name", "digest"]
    ordering = ["-created_at", "-id"]
    fields = ["name", "status", "digest", "created_by", "created_at", "frozen_at", "shown_document"]
    readonly_fields = ["created_at", "shown_document"]
    actions_detail = ["freeze"]

    @display(
        description="status",
        ordering="status",
        label={StrategyStatus.DRAFT: "warning", StrategyStatus.FROZEN: "success"},
    )
    def shown_status(self, strategy: Strategy) -> str:
        """The status as a colored label."""
        return strategy.status

    @admin.display(description="spec")
    def shown_document(self, strategy: Strategy) -> SafeString:
        """The spec as YAML, in the order of its schema."""
        document = StrategySpec.model_validate(strategy.document).model_dump(mode="json")
        return preformatted(yaml.safe_dump(document, sort_keys=False))

    @reasoned_action(
        "Freeze",
        icon="lock",
        title="Freeze this strategy",
        text="It can never change again; runs may refer to it by name.",
    )
    def freeze(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """Freeze a draft."""
        strategy = self.serve(
            request,
            services.freeze_strategy,
            "The strategy is frozen.",
            strategy_id=self.public_id(object_id),
            reason=form.cleaned_data["reason"],
        )
        return self.page_of(strategy, object_id)

    def get_actions_detail(self, request: HttpRequest, object_id: int) -> list[Any]:
        """Offer freezing for drafts alone."""
        strategy = self.get_object(request, str(object_id))
        offered = super().get_actions_detail(request, object_id)
        return offered if strategy and strategy.status == StrategyStatus.DRAFT else []
