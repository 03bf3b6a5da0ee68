"""A spec and the engine's settings say the same."""

import math
from dataclasses import fields

import pytest
from pydantic import ValidationError

from backtests.engine import Account, Costs, EngineError, Fills, LinearImpact, SquareRootImpact
from backtests.jobs.settings import setup_of
from backtests.runspec import RunSpec
from backtests.runspec.trading import AccountSpec, CostsSpec, FillsSpec

SETTINGS = {"fills": Fills, "costs": Costs, "account": Account}
SECTIONS = {"fills": FillsSpec, "costs": CostsSpec, "account": AccountSpec}
NUMBERS = [
    *[("fills", key) for key in ("max_participation", "minimum_notional", "latency_bars")],
    *[
        ("costs", key)
        for key in (
            "commission_bps", "commission_per_share", "commission_per_order", "commission_minimum",
            "commission_maximum", "buy_tax_bps", "sell_tax_bps", "half_spread_bps",
            "slippage_bps", "borrow_bps_per_year", "conversion_bps",
        )
    ],
    *[
        ("account", key)
        for key in (
            "max_leverage", "maintenance_margin", "cash_rate", "margin_rate", "delisting_haircut",
        )
    ],
]  # fmt: skip
PROBES = (-2, -1, -0.5, 0, 0.5, 1, 1.5, 10, 11, 9_999, 10_000, 10_001, 1_000_000, 1_000_001, 1e9)


def spec(**more) -> RunSpec:
    return RunSpec.model_validate({"dataset": "d", "strategy": "s"} | more)


def is_taken(make, refusal) -> bool:
    try:
        make()
    except refusal:
        return False
    return True


class TestSetupOf:
    def test_has_the_engines_defaults(self):
        assert setup_of(spec()) == (Fills(), Costs(), Account())

    @pytest.mark.parametrize("section", SETTINGS)
    def test_has_every_setting_of_the_engine(self, section):
        engine = {field.name for field in fields(SETTINGS[section])}

        assert set(SECTIONS[section].model_fields) == engine - {"capital", "currency"}

    def test_hands_on_capital_and_currency(self):
        account = setup_of(spec(capital=5, currency="CHF")).account

        assert (account.capital, account.currency) == (5.0, "CHF")

    @pytest.mark.parametrize(
        ("document", "impact"),
        [
            ({"kind": "sqrt", "y": 0.5}, SquareRootImpact(0.5)),
            ({"kind": "sqrt"}, SquareRootImpact()),
            ({"kind": "linear"}, LinearImpact()),
            ({"kind": "linear", "temporary": 1, "permanent": 2}, LinearImpact(1.0, 2.0)),
        ],
    )
    def test_makes_the_impact_asked_for(self, document, impact):
        assert setup_of(spec(costs={"impact": document})).costs.impact == impact

    def test_takes_null_for_no_limit(self):
        made = setup_of(spec(account={"max_leverage": None, "maintenance_margin": None}))

        assert made.account.max_leverage == math.inf
        assert made.account.maintenance_margin is None
        assert made.costs.commission_maximum == math.inf

    def test_hands_on_tiers_and_an_estimated_spread(self):
        costs = {"commission_tiers": [[0, 2], [1e6, 1]], "half_spread_bps": "corwin_schultz"}

        made = setup_of(spec(costs=costs)).costs

        assert made.commission_tiers == ((0.0, 2.0), (1e6, 1.0))
        assert made.half_spread_bps == "corwin_schultz"

    @pytest.mark.parametrize(("section", "key"), NUMBERS)
    @pytest.mark.parametrize("value", PROBES)
    def test_has_the_engines_bounds(self, section, key, value):
        if key == "latency_bars" and value != int(value):
            return
        asked = is_taken(lambda: SECTIONS[section](**{key: value}), ValidationError)
        given = is_taken(lambda: SETTINGS[section](**{key: value}), EngineError)

        assert asked == given
