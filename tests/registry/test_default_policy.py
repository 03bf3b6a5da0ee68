"""The policy that the platform stores: what its migration stores, where, and what the trail has."""

from importlib import import_module

import pytest
from django.apps import apps

from crowetrade_site.core import canonical, documents, merkle
from crowetrade_site.core.models import AuditEvent
from crowetrade_site.core.roles import Role
from registry import selectors, services
from registry.models import PromotionPolicy
from registry.rules.policies import Policy
from tests.factories.accounts import account
from tests.factories.backtests import AT
from tests.factories.registry import registered_model

pytestmark = pytest.mark.django_db
migration = import_module("registry.migrations.0015_default_policy_bounds_look_ahead")


def in_force():
    return selectors.policy_in_force("default")


class TestDefaultPolicy:
    def test_is_what_its_text_says(self):
        stored = in_force()

        policy = documents.parse(Policy, documents.loads(stored.text, name="The policy"))

        assert policy.model_dump(mode="json") == stored.document
        assert canonical.digest(stored.document) == stored.digest
        assert policy.refusals() == []

    def test_bounds_fills_that_look_ahead_wherever_they_are_told(self):
        policy = Policy.model_validate(in_force().document)

        gates = [gate for stage in ("staging", "production") for gate in policy.of(stage).measured]
        assert len(gates) == 4
        assert all(gate.maximum["fills_look_ahead"] == 0 for gate in gates)

    def test_follows_the_first_and_tells_the_trail_of_a_site_in_use(self):
        PromotionPolicy.objects.filter(number=2).delete()
        registered_model(account(Role.RESEARCHER))

        migration.store(apps, None)

        stored, event = in_force(), AuditEvent.objects.latest("id")
        assert (stored.number, stored.stored_by) == (2, None)
        assert (event.verb, event.object_id) == ("registry.policy.stored", str(stored.public_id))
        assert bytes(event.leaf) == merkle.leaf_hash(event.canonical.encode())

    def test_leaves_what_people_stored(self):
        services.store_policy(
            name="default", text="staging: {approvals: {number: 1}}\n"
            "production: {approvals: {number: 2}}", actor=account(Role.ADMIN), at=AT, reason="Ours",
        )  # fmt: skip

        migration.store(apps, None)

        assert in_force().number == 3
