"""Storing and freezing strategies, and referring to them."""

import json
from uuid import uuid4

import pytest

from crowetrade_site.core.errors import (
    Conflict,
    DuplicateRequest,
    Forbidden,
    IllegalTransition,
    InvalidInput,
    NotFound,
)
from crowetrade_site.core.models import AuditEvent
from strategies import selectors, services
from strategies.lifecycle import STRATEGIES, StrategyStatus
from strategies.models import Strategy
from tests.factories.accounts import account
from tests.factories.backtests import STRATEGY
from tests.factories.strategies import frozen, stored


def trail(strategy) -> list[dict]:
    events = AuditEvent.objects.filter(object_id=str(strategy.public_id)).order_by("id")
    return [json.loads(event.canonical) for event in events]


class TestCreateStrategy:
    def test_stores_a_draft_with_its_defaults(self, owner):
        strategy = stored(owner)

        assert (strategy.status, strategy.frozen_at) == (StrategyStatus.DRAFT, None)
        assert strategy.document["signals"][0]["direction"] == "long_flat"
        assert strategy.digest == selectors.get_spec(STRATEGY).digest

    def test_writes_one_audit_entry(self, owner):
        (entry,) = trail(stored(owner))

        assert (entry["verb"], entry["actor"]) == ("strategies.strategy.created", owner.username)

    def test_refuses_a_name_that_is_taken(self, owner):
        stored(owner)

        with pytest.raises(Conflict, match="a strategy 'crossing' already"):
            stored(owner)
        assert Strategy.objects.count() == 1

    @pytest.mark.parametrize("name", ["", "a b", "../x", "n" * 81, "a\n"])
    def test_refuses_a_name_that_is_no_slug(self, owner, name):
        with pytest.raises(InvalidInput, match="is no strategy name"):
            stored(owner, name)

    def test_names_the_nearest_key(self, owner):
        with pytest.raises(InvalidInput, match="did you mean 'portfolio'"):
            stored(owner, document=STRATEGY | {"portfolo": {}})

    @pytest.mark.parametrize("role", ["auditor", "operator", "validator", ""])
    def test_refuses_a_role_without_the_right(self, db, role):
        with pytest.raises(Forbidden):
            stored(account(role))

    def test_makes_one_of_two_requests_with_one_key(self, owner):
        assert stored(owner, idempotency_key="k") == stored(owner, idempotency_key="k")

        with pytest.raises(DuplicateRequest):
            stored(owner, "another", idempotency_key="k")


class TestFreezeStrategy:
    def test_is_for_good(self, owner, at):
        strategy = frozen(owner)

        assert strategy.status == StrategyStatus.FROZEN
        assert [entry["verb"] for entry in trail(strategy)] == [
            "strategies.strategy.created", "strategies.strategy.frozen",
        ]  # fmt: skip
        with pytest.raises(IllegalTransition):
            services.freeze_strategy(strategy_id=strategy.public_id, actor=owner, at=at)

    def test_refuses_a_role_without_the_right(self, owner, at):
        draft = stored(owner)

        with pytest.raises(Forbidden):
            services.freeze_strategy(strategy_id=draft.public_id, actor=account("operator"), at=at)

    def test_finds_no_unknown_strategy(self, owner, at):
        with pytest.raises(NotFound):
            services.freeze_strategy(strategy_id=uuid4(), actor=owner, at=at)


class TestStrategies:
    @pytest.mark.parametrize("current", list(StrategyStatus))
    @pytest.mark.parametrize("target", list(StrategyStatus))
    def test_only_a_draft_can_be_frozen(self, current, target):
        assert STRATEGIES.allows(current, target) == (
            (current, target) == (StrategyStatus.DRAFT, StrategyStatus.FROZEN)
        )


class TestGetSpec:
    def test_finds_a_frozen_one_by_name(self, owner):
        assert selectors.get_spec(frozen(owner).name).signals

    def test_finds_a_builtin_one_by_name(self, db):
        assert selectors.get_spec("buy_and_hold").signals[0].kind == "buy_and_hold"

    def test_does_not_find_a_draft(self, owner):
        stored(owner)

        with pytest.raises(NotFound, match="no frozen strategy 'crossing'"):
            selectors.get_spec("crossing")

    def test_names_the_nearest(self, owner):
        frozen(owner)

        with pytest.raises(NotFound, match="did you mean 'crossing'"):
            selectors.get_spec("crosing")
