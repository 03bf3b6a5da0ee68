"""The life of a strategy spec."""

from enum import StrEnum

from crowetrade_site.core.lifecycle import Lifecycle


class StrategyStatus(StrEnum):
    """Whether a spec may still change."""

    DRAFT = "draft"
    FROZEN = "frozen"


STRATEGIES = Lifecycle(
    "strategy",
    {
        StrategyStatus.DRAFT: frozenset({StrategyStatus.FROZEN}),
        StrategyStatus.FROZEN: frozenset(),
    },
)
