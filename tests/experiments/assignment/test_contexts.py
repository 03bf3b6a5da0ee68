"""Contexts move the cuts between arms, and nothing else."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.assignment import (
    AssignmentSettings,
    Context,
    ContextError,
    Reason,
    SettingsError,
    assign,
    read_targeting,
)

NOW = datetime(2026, 1, 5, tzinfo=UTC)
SHARES = {"calm": (0.8, 0.2), "turbulent": (0.3, 0.7)}
names = st.text("abcdefgh-123", min_size=1, max_size=12)


def settings(context=None, **more):
    return AssignmentSettings(
        "pilot", ("champion", "challenger"), (0.5, 0.5),
        context=context or Context("regime", SHARES), **more,
    )  # fmt: skip


class TestAssign:
    def test_draws_each_context_by_its_own_shares(self):
        units = [f"unit-{number}" for number in range(4_000)]

        for regime, share in (("calm", 0.2), ("turbulent", 0.7)):
            met = [assign(unit, {"regime": regime}, settings(), NOW) for unit in units]
            got = sum(one.arm == "challenger" for one in met) / len(met)
            assert got == pytest.approx(share, abs=0.025)  # three standard errors
            assert {one.context for one in met} == {regime}
            assert {(one.arm, one.probability) for one in met} == {
                ("champion", SHARES[regime][0]), ("challenger", SHARES[regime][1])
            }  # fmt: skip

    @given(names, st.floats(0.01, 0.99))
    def test_gives_the_same_arm_where_shares_are_the_same(self, unit, share):
        alike = Context("regime", {"calm": (share, 1 - share), "wild": (share, 1 - share)})

        arms = {assign(unit, {"regime": one}, settings(alike), NOW).arm for one in alike.shares}

        plain = AssignmentSettings("pilot", ("champion", "challenger"), (share, 1 - share))
        assert arms == {assign(unit, {}, plain, NOW).arm}

    @given(names, st.floats(0, 1), st.floats(0, 1))
    def test_moves_only_units_that_a_cut_passes_over(self, unit, one, other):
        both = Context("regime", {"a": (one, 1 - one), "b": (other, 1 - other)})

        at_one, at_other = (assign(unit, {"regime": v}, settings(both), NOW).arm for v in "ab")

        if one <= other and at_one == "champion":
            assert at_other == "champion"

    @pytest.mark.parametrize(
        ("attributes", "says"),
        [
            ({}, "attributes.regime is missing: shares depend on it. It is one of calm, turbulent"),
            ({"regime": None}, "is missing"),
            ({"regime": "Calm"}, "attributes.regime is 'Calm'; it is one of calm, turbulent"),
            ({"regime": 1}, "is 1;"),
            ({"regime": True}, "is True;"),
            ({"regime": ["calm"]}, "is no text;"),
        ],
    )
    def test_refuses_what_is_no_context(self, attributes, says):
        with pytest.raises(ContextError, match=says):
            assign("AAPL", attributes, settings(), NOW)

    @pytest.mark.parametrize("attributes", [{}, {"regime": "wild"}, {"regime": 3}])
    def test_sends_it_where_the_plan_says_otherwise(self, attributes):
        met = assign("AAPL", attributes, settings(Context("regime", SHARES, "calm")), NOW)

        assert met.context == "calm"

    def test_asks_whoever_is_targeted_though_the_layer_leaves_it_out(self):
        nobody = settings(ranges=((0.0, 1e-6),))

        with pytest.raises(ContextError):
            assign("AAPL", {}, nobody, NOW)

    def test_asks_neither_the_overridden_nor_those_that_are_not_meant(self):
        fx = read_targeting({"attribute": "desk", "equals": "fx"})
        found = settings(overrides={"AAPL": "champion"}, targeting=fx)

        assert assign("AAPL", {}, found, NOW).reason is Reason.OVERRIDE
        assert assign("MSFT", {}, found, NOW).reason is Reason.NOT_TARGETED


class TestContext:
    def test_survives_as_a_document_of_the_settings(self):
        made = settings(Context("regime", SHARES, "calm"))

        assert AssignmentSettings.from_document(made.document()) == made

    @pytest.mark.parametrize(
        ("document", "says"),
        [
            ([], "an object is needed"),
            ({"shares": SHARES}, "context.attribute is missing"),
            ({"attribute": "regime", "share": SHARES}, "did you mean 'shares'"),
            ({"attribute": "", "shares": SHARES}, "name of an attribute"),
            ({"attribute": "regime", "shares": {}}, "1 to 100 values"),
            ({"attribute": "regime", "shares": SHARES, "otherwise": "wild"}, "none of calm"),
            ({"attribute": "regime", "shares": {"calm": (0.5, 0.6)}}, "sum to 1.1"),
            ({"attribute": "regime", "shares": {"calm": (0.5, 0.3, 0.2)}}, "2 arms have 3 weights"),
        ],
    )
    def test_refuses_what_is_none(self, document, says):
        whole = settings().document() | {"context": document}

        with pytest.raises(SettingsError, match=says):
            AssignmentSettings.from_document(whole)
