"""How a run trades: when orders fill, what that costs, what the account allows.

Names and bounds are the engine's; what it keeps as infinity is null here, which JSON can write.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
# A share of a price that is taken off it: all of it is too much.
PriceShare = Annotated[float, Field(ge=0, lt=10_000, allow_inf_nan=False)]
AnnualRate = Annotated[float, Field(ge=-1, le=10, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Section(BaseModel):
    """A part of a spec: frozen, and strict about its keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FillsSpec(Section):
    """When, at which price and how far orders fill."""

    at: Literal["next_open", "next_close", "same_close_with_look_ahead"] = Field(
        default="next_open",
        description="Where market orders fill: in the bar after the decision. Data with closes "
        "only fill at the next close, with a caveat. The last choice fills at the very close that "
        "was decided on, which nobody can: an upper bound, with a caveat.",
    )
    intrabar: Literal["pessimistic", "optimistic", "path"] = Field(
        default="pessimistic",
        description="What came first where a bar allows several things: the stop, the limit, or "
        "what lies first on the way open, nearer extreme, other extreme, close.",
    )
    limit_fill: Literal["touch", "through"] = Field(
        default="touch",
        description="Whether a limit fills when the price reaches it, or only beyond it.",
    )
    max_participation: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = Field(
        default=None,
        description="Largest share of a bar's volume that is traded, the rest waits; null: no "
        "limit. Needs volumes.",
    )
    minimum_notional: Amount = Field(
        default=0.0,
        description="Orders smaller than this are refused [currency], but for those that close a "
        "position whole.",
    )
    latency_bars: int = Field(
        default=0,
        ge=0,
        le=1_000_000,
        description="Bars between a decision and the first bar it may fill in, beyond the next.",
    )


class SquareRootImpactSpec(Section):
    """Price impact y × sigma × sqrt(quantity / volume)."""

    kind: Literal["sqrt"]
    y: Amount = Field(default=0.9, description="Of order one.")


class LinearImpactSpec(Section):
    """Price impact (temporary + permanent / 2) × sigma × quantity / volume."""

    kind: Literal["linear"]
    temporary: Amount = Field(default=0.14, description="Almgren and Chriss's eta, per sigma.")
    permanent: Amount = Field(default=0.31, description="Almgren and Chriss's gamma, per sigma.")


def _is_named(value: object) -> str:
    return "estimate" if isinstance(value, str) else "number"


HalfSpread = Annotated[
    Annotated[PriceShare, Tag("number")] | Annotated[Literal["corwin_schultz"], Tag("estimate")],
    Discriminator(_is_named),
]
Impact = Annotated[SquareRootImpactSpec | LinearImpactSpec, Field(discriminator="kind")]


class CostsSpec(Section):
    """What trading costs."""

    commission_bps: Amount = Field(default=0.0, description="Of the traded notional [1/10,000].")
    commission_per_share: Amount = Field(default=0.0, description="Per unit [currency]; added.")
    commission_per_order: Amount = Field(
        default=0.0, description="Once per order, with its first fill [currency]; added."
    )
    commission_minimum: Amount = Field(
        default=0.0, description="Least commission of a fill, without the fee per order [currency]."
    )
    commission_maximum: Amount | None = Field(
        default=None,
        description="Highest commission of a fill, without the fee per order [currency]; null: no "
        "limit.",
    )
    commission_tiers: tuple[tuple[Amount, Amount], ...] = Field(
        default=(),
        description="Pairs [notional traded so far in the calendar month, commission from there on "
        "in 1/10,000], increasing; replaces commission_bps from the first of them.",
    )
    buy_tax_bps: PriceShare = Field(default=0.0, description="Of what is bought [1/10,000].")
    sell_tax_bps: PriceShare = Field(default=0.0, description="Of what is sold [1/10,000].")
    half_spread_bps: HalfSpread = Field(
        default=0.0,
        description="Of the price, each side [1/10,000]; or corwin_schultz, estimated from highs "
        "and lows. A half spread that the data measure replaces it. Limit orders pay none.",
    )
    slippage_bps: PriceShare = Field(
        default=0.0, description="Further loss of all but limit orders [1/10,000 of the price]."
    )
    impact: Impact | None = Field(
        default=None,
        description="How far an order moves the price it pays: {kind: sqrt} or {kind: linear}. "
        "Needs volumes.",
    )
    borrow_bps_per_year: Amount = Field(
        default=0.0, description="Fee on the value of shorts [1/10,000 a year]."
    )
    conversion_bps: PriceShare = Field(
        default=0.0,
        description="Of the notional of fills in another currency than the account's [1/10,000]; "
        "a dataset in one is refused so far.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        most = self.commission_maximum
        if most is not None and most < self.commission_minimum:
            raise ValueError(
                f"commission_maximum {most:g} is below commission_minimum "
                f"{self.commission_minimum:g}"
            )
        begins = [notional for notional, _ in self.commission_tiers]
        if sorted(set(begins)) != begins:
            raise ValueError("commission_tiers must begin at increasing notionals")
        return self


class AccountSpec(Section):
    """What the account allows, earns and pays."""

    max_leverage: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(
        default=1.0,
        description="Highest gross exposure after a fill, as a multiple of equity; null: no limit.",
    )
    on_shortfall: Literal["scale", "reject"] = Field(
        default="scale", description="When buying power does not cover the orders of a bar."
    )
    maintenance_margin: Share | None = Field(
        default=0.0,
        description="Below this share of the gross exposure equity is called and positions are "
        "liquidated at the next market fill; 0 does so once equity is negative, null never.",
    )
    cash_rate: AnnualRate = Field(
        default=0.0, description="Interest per year on cash that is not the proceeds of shorts."
    )
    margin_rate: AnnualRate = Field(default=0.0, description="Interest per year on negative cash.")
    delisting_haircut: Share = Field(
        default=0.0, description="Share of the last price that a long loses in a delisting."
    )
