"""What a spec may say of fills, costs and account."""

import json

import pytest

from backtests.runspec import RunSpec
from backtests.runspec.trading import AccountSpec, CostsSpec, FillsSpec
from crowetrade_site.core import documents
from crowetrade_site.core.errors import InvalidInput

SECTIONS = {"fills": FillsSpec, "costs": CostsSpec, "account": AccountSpec}
# As rows of version 0.1 have it, before the engine had more to offer.
STORED = {
    "kind": "backtest", "dataset": "tiny@sha256:" + "a" * 64, "instruments": None,
    "strategy": {"signals": [{"kind": "buy_and_hold"}]}, "start": None, "end": None,
    "capital": 1000000.0, "currency": "USD", "benchmark": None, "fills": {"at": "next_open"},
    "costs": {
        "commission_bps": 1.0, "commission_per_share": 0.0, "commission_minimum": 0.0,
        "half_spread_bps": 2.0,
    },
    "account": {"max_leverage": 1.0, "on_shortfall": "scale"}, "seed": 0,
}  # fmt: skip
EVERYTHING = {
    "fills": {
        "at": "same_close_with_look_ahead", "intrabar": "path", "limit_fill": "through",
        "max_participation": 0.1, "minimum_notional": 100, "latency_bars": 2,
    },
    "costs": {
        "commission_bps": 1, "commission_per_share": 0.005, "commission_per_order": 1,
        "commission_minimum": 1, "commission_maximum": 50,
        "commission_tiers": [[0, 2], [1_000_000, 1]], "buy_tax_bps": 50, "sell_tax_bps": 10,
        "half_spread_bps": "corwin_schultz", "slippage_bps": 1,
        "impact": {"kind": "linear", "temporary": 0.1, "permanent": 0.2},
        "borrow_bps_per_year": 50, "conversion_bps": 5,
    },
    "account": {
        "max_leverage": None, "on_shortfall": "reject", "maintenance_margin": None,
        "cash_rate": 0.02, "margin_rate": 0.05, "delisting_haircut": 0.3,
    },
}  # fmt: skip


def parsed(**more) -> RunSpec:
    return documents.parse(RunSpec, {"dataset": "d", "strategy": "s"} | more)


class TestSections:
    @pytest.mark.parametrize("section", SECTIONS.values(), ids=list(SECTIONS))
    def test_say_what_every_key_means(self, section):
        for name, field in section.model_fields.items():
            assert field.description, name

    def test_take_all_there_is_and_write_it_as_json(self):
        spec = parsed(**EVERYTHING)

        written = json.loads(json.dumps(spec.model_dump(mode="json"), allow_nan=False))

        assert RunSpec.model_validate(written) == spec
        for section, keys in EVERYTHING.items():
            assert set(keys) == set(SECTIONS[section].model_fields)
            assert written[section] == keys

    def test_still_take_a_spec_stored_before(self):
        spec = RunSpec.model_validate(STORED)

        assert spec.costs.commission_bps == 1.0
        assert spec.fills == FillsSpec()
        assert spec.account == AccountSpec()

    def test_store_defaults_of_an_impact(self):
        spec = parsed(costs={"impact": {"kind": "sqrt"}})

        assert spec.model_dump(mode="json")["costs"]["impact"] == {"kind": "sqrt", "y": 0.9}

    @pytest.mark.parametrize(
        ("more", "sentence"),
        [
            ({"fills": {"intrabra": "path"}}, "fills.intrabra: unknown key; did you mean"),
            ({"fills": {"at": "next_opne"}}, "did you mean 'next_open'?"),
            ({"costs": {"half_spread_bps": "corwin"}}, "did you mean 'corwin_schultz'?"),
            ({"costs": {"half_spread_bps": None}}, "Input should be a valid number"),
            ({"costs": {"impact": {"kind": "squrt"}}}, "'squrt' is not one of 'sqrt'"),
            ({"costs": {"impact": {"kind": "sqrt", "z": 1}}}, "costs.impact.z: unknown key"),
            ({"costs": {"borow_bps_per_year": 1}}, "did you mean 'borrow_bps_per_year'?"),
            (
                {"costs": {"commission_maximum": 1, "commission_minimum": 2}},
                "commission_maximum 1 is below commission_minimum 2",
            ),
            (
                {"costs": {"commission_tiers": [[5, 2], [5, 1]]}},
                "commission_tiers must begin at increasing notionals",
            ),
            ({"costs": {"commission_tiers": [[0]]}}, "costs.commission_tiers.0.1: Field required"),
            ({"account": {"margin": 0.1}}, "did you mean 'margin_rate'?"),
        ],
    )  # fmt: skip
    def test_name_what_is_wrong(self, more, sentence):
        with pytest.raises(InvalidInput) as refusal:
            parsed(**more)

        assert sentence in refusal.value.detail
