"""A run's spec: the same document for command line, API, admin and worker.

Unknown keys are errors; defaults are part of the document that is stored and digested, so a
later change of a default changes no old run.
"""

from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from backtests.runspec.replay import ReplaySpec
from backtests.runspec.study import (
    SECTIONS,
    ComparisonSpec,
    CrossValidationSpec,
    SearchSection,
    WalkForwardSpec,
)
from backtests.runspec.trading import AccountSpec, CostsSpec, FillsSpec, Section

Name = Annotated[str, Field(min_length=1, max_length=200)]
# A name, a symbol and the digest that pins them.
Reference = Annotated[str, Field(min_length=1, max_length=500)]
# Each kind and the section that no other has.
PARTS = SECTIONS | {"replay": "replay"}
# A replay has the market and the strategy of its control's run, which the service fills in.
OF_CONTROL = "(of the control)"
OF_REPLAYS = frozenset({"kind", "dataset", "strategy", "currency", "seed", "replay"})


class RunSpec(Section):
    """What to compute, on which data, with which strategy, at which costs."""

    kind: Literal[
        "backtest", "sweep", "walk_forward", "cross_validation", "comparison", "replay"
    ] = Field(
        default="backtest",
        description="A sweep runs the strategy once for each parameter set; a walk-forward and a "
        "cross-validation choose parameters on one part of time and try them on another; a "
        "comparison runs several strategies side by side; a replay asks what an experiment and "
        "bandits would have made of the returns of finished runs.",
    )
    dataset: Reference = Field(
        description="A dataset's name, or name@sha256:… for one version. Not of a replay, which "
        "has that of its control's run."
    )
    instruments: list[Name] | None = Field(
        default=None, description="Which instruments of the dataset; all of them by default."
    )
    strategy: dict[str, Any] | Name = Field(
        description="A strategy spec, the name of a frozen or built-in one, or "
        "models:/NAME/NUMBER: the file of a registered version, for which the run is evidence. "
        "Not of a replay."
    )
    start: date | None = Field(
        default=None, description="First day; by default the first bar the strategy can decide on."
    )
    end: date | None = Field(default=None, description="Last day, included.")
    capital: float = Field(default=1_000_000.0, gt=0, le=1e15, allow_inf_nan=False)
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3,5}$")] = "USD"
    benchmark: Reference | None = Field(
        default=None, description="A dataset of one series, or dataset/SYMBOL."
    )
    fills: FillsSpec = FillsSpec()
    costs: CostsSpec = CostsSpec()
    account: AccountSpec = AccountSpec()
    seed: int = Field(default=0, ge=0, lt=2**63)
    search: SearchSection | None = Field(default=None, description="What a sweep searches.")
    walk_forward: WalkForwardSpec | None = None
    cross_validation: CrossValidationSpec | None = None
    comparison: ComparisonSpec | None = None
    replay: ReplaySpec | None = None

    @model_validator(mode="before")
    @classmethod
    def _of_control(cls, document: Any) -> Any:
        """Let a replay do without a dataset and a strategy: those of its control are taken."""
        if isinstance(document, dict) and document.get("kind") == "replay":
            return {"dataset": OF_CONTROL, "strategy": OF_CONTROL, **document}
        return document

    @model_validator(mode="before")
    @classmethod
    def _first_strategy(cls, document: Any) -> Any:
        """Let a comparison do without a strategy beside those it compares."""
        if isinstance(document, dict) and "strategy" not in document:
            compared = document.get("comparison")
            strategies = compared.get("strategies") if isinstance(compared, dict) else None
            if isinstance(strategies, dict) and strategies:
                return {**document, "strategy": next(iter(strategies.values()))}
        return document

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for kind, section in PARTS.items():
            if (self.kind == kind) is (getattr(self, section) is None):
                verb = "needs" if self.kind == kind else "has no"
                raise ValueError(f"a {self.kind} {verb} {section}")
        if self.kind == "replay" and (others := self.model_fields_set - OF_REPLAYS):
            raise ValueError(f"a replay has no {min(others)}: its runs have theirs")
        if self.start and self.end and self.start > self.end:
            raise ValueError(f"start {self.start} is after end {self.end}")
        if self.instruments is not None:
            if not self.instruments:
                raise ValueError("instruments is empty; leave it out to trade all of them")
            twice = [s for s in self.instruments if self.instruments.count(s) > 1]
            if twice:
                raise ValueError(f"instruments names {twice[0]!r} twice")
        return self

    def document(self) -> dict[str, Any]:
        """Return the document that is stored: with its defaults, without what its kind lacks."""
        plain = self.model_dump(mode="json")
        if self.kind == "replay":
            return {name: part for name, part in plain.items() if name in OF_REPLAYS} | {
                "replay": _as_before(plain["replay"])
            }
        for kind, section in PARTS.items():
            if self.kind != kind:
                del plain[section]
        return plain


def _as_before(replay: dict[str, Any]) -> dict[str, Any]:
    """Return a replay's section without features where it has none, as before there were any.

    So it keeps its digest, and the key of a request that is sent again still fits.
    """
    if replay["features"]:
        return replay
    return {name: part for name, part in replay.items() if name not in ("features", "regimes")}
