"""The document that says what a strategy is."""

import hashlib
import json
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

MAX_GROSS = 10.0


class _Part(BaseModel):
    """A part of a spec: unknown keys are errors, and nothing changes after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class BuyAndHold(_Part):
    """Every instrument that trades may be held, with equal score."""

    kind: Literal["buy_and_hold"]


class MovingAverageCross(_Part):
    """Long while a fast moving average is above a slow one; score: fast / slow - 1."""

    kind: Literal["moving_average_cross"]
    fast_bars: int = Field(ge=1, le=100_000, description="Window of the fast average, in bars.")
    slow_bars: int = Field(ge=2, le=100_000, description="Window of the slow average, in bars.")
    direction: Literal["long_flat", "long_short"] = Field(
        default="long_flat", description="Side while the fast average is below: flat or short."
    )

    @model_validator(mode="after")
    def _fast_is_below_slow(self) -> Self:
        if self.fast_bars >= self.slow_bars:
            raise ValueError(
                f"fast_bars ({self.fast_bars}) must be smaller than slow_bars ({self.slow_bars})."
            )
        return self


class Momentum(_Part):
    """Ranks by the return from `lookback_days` ago to `skip_days` ago; long only."""

    kind: Literal["momentum"]
    lookback_days: int = Field(
        default=252, ge=1, le=100_000, description="Days with a bar, back to the base price."
    )
    skip_days: int = Field(
        default=21, ge=0, le=100_000, description="Latest days left out; 0 uses the bar itself."
    )

    @model_validator(mode="after")
    def _skip_is_below_lookback(self) -> Self:
        if self.skip_days >= self.lookback_days:
            raise ValueError(
                f"skip_days ({self.skip_days}) must be smaller than "
                f"lookback_days ({self.lookback_days})."
            )
        return self


class EveryNBars(_Part):
    """At the first possible bar and every so many bars after it."""

    kind: Literal["bars"]
    bars: int = Field(default=1, ge=1, le=1_000_000, description="Bars between two decisions.")


class OnNewPeriod(_Part):
    """At the first possible bar and at the first bar of every calendar period (UTC)."""

    kind: Literal["calendar"]
    period: Literal["day", "week", "month", "quarter", "year"] = Field(
        default="month", description="Calendar period; weeks begin on Monday."
    )


class OnChange(_Part):
    """At the first possible bar and whenever the wanted weights change."""

    kind: Literal["on_change"]


class Once(_Part):
    """At the first possible bar alone."""

    kind: Literal["once"]


Signal = Annotated[BuyAndHold | MovingAverageCross | Momentum, Field(discriminator="kind")]
Rebalance = Annotated[
    EveryNBars | OnNewPeriod | OnChange | Once,
    Field(discriminator="kind", description="When the weights are put into effect."),
]


class EqualWeight(_Part):
    """Equal shares of the strongest instruments that are not flat."""

    kind: Literal["equal_weight"]
    n_holdings: int | None = Field(
        default=None, ge=1, le=100_000, description="Most instruments held; null = all eligible."
    )
    gross: FiniteFloat = Field(
        default=1.0,
        gt=0.0,
        le=MAX_GROSS,
        description="Sum of absolute weights when every slot is taken, as a multiple of equity.",
    )
    rebalance: Rebalance = OnNewPeriod(kind="calendar")


class GivenWeights(_Part):
    """Fixed weights by symbol, times the side of the signals."""

    kind: Literal["given_weights"]
    weights: dict[str, FiniteFloat] = Field(
        min_length=1, description="Fraction of equity by symbol; short below zero."
    )
    rebalance: Rebalance = OnNewPeriod(kind="calendar")

    @model_validator(mode="after")
    def _gross_is_bounded(self) -> Self:
        gross = sum(abs(weight) for weight in self.weights.values())
        if not 0.0 < gross <= MAX_GROSS:
            raise ValueError(
                f"the absolute weights add up to {gross:g}; "
                f"they must be above 0 and at most {MAX_GROSS:g}."
            )
        return self


Portfolio = Annotated[EqualWeight | GivenWeights, Field(discriminator="kind")]


class StrategySpec(_Part):
    """What is traded, and how: signals score the instruments, the portfolio weighs them."""

    signals: tuple[Signal, ...] = Field(
        min_length=1,
        max_length=32,
        description="Several are averaged as cross-sectional ranks and must agree on the side.",
    )
    portfolio: Portfolio = Field(description="From scores to weights.")

    @property
    def digest(self) -> str:
        """SHA-256 over the document with defaults filled in, keys sorted, 64 hex digits."""
        document = self.model_dump(mode="json")
        text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()
