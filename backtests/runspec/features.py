"""What a contextual policy of a replay may know when a period begins."""

from typing import Annotated, Literal

from pydantic import Field

from backtests.runspec.trading import Section

Window = Annotated[int, Field(ge=5, le=10_000)]


class ReturnsFeatureSpec(Section):
    """A feature of the returns before a period."""

    kind: Literal["momentum", "volatility", "turbulence"] = Field(
        description="The t ratio of the mean of the last returns; the logarithm of their deviation "
        "over that of all before; 1 where that is above 0, else 0.",
    )
    periods: Window = Field(default=20, description="Returns that are looked at [bars].")
    of: str = Field(
        default="",
        max_length=64,
        description="The arm whose returns they are; by default the mean of all arms.",
    )


class SeriesFeatureSpec(Section):
    """A feature that is the last close of a series, as known when a period begins."""

    kind: Literal["series"]
    series: Annotated[str, Field(min_length=1, max_length=500)] = Field(
        description="A dataset of one series, or dataset/SYMBOL. Stored with its digest.",
    )
    scale: Literal["past", "none"] = Field(
        default="past",
        description="past: less the mean so far and over the deviation so far; none: as it is, for "
        "indicators.",
    )


FeatureSpec = Annotated[ReturnsFeatureSpec | SeriesFeatureSpec, Field(discriminator="kind")]
