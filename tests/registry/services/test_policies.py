"""Policies: stored, never changed, assigned."""

import pytest
import yaml

from crowetrade_site.core.errors import Conflict, Forbidden, InvalidInput, NotFound
from crowetrade_site.core.models import AuditEvent
from crowetrade_site.core.roles import Role
from registry import selectors, services
from registry.lifecycle import Stage
from registry.models import PromotionPolicy
from registry.rules.policies import Policy
from tests.factories.accounts import account
from tests.factories.backtests import AT
from tests.factories.registry import bring_evidence, events_of, model_version, registered_model

pytestmark = pytest.mark.django_db
TEXT = "staging: {approvals: {number: 1}}\nproduction: {approvals: {number: 2}}\n"


@pytest.fixture
def judge():
    return account(Role.VALIDATOR, "vera")


def store(actor, **more):
    given = {"name": "light", "text": TEXT, "actor": actor, "at": AT, "reason": "a pilot"}
    return services.store_policy(**given | more)


class TestStore:
    def test_gives_numbers_in_order_and_tells_once(self, judge):
        first = store(judge)
        second = store(judge, text=TEXT + "request_days: 5\n")

        assert [first.number, second.number] == [1, 2]
        assert selectors.policy_in_force("light") == second
        assert events_of(second) == ["policy.stored"]

    def test_keeps_the_text_and_what_it_means(self, judge):
        policy = store(judge, text=f"# why\n{TEXT}")

        assert policy.text.startswith("# why")
        assert policy.document["production"]["approvals"]["number"] == 2

    def test_refuses_what_says_the_same(self, judge):
        store(judge)

        with pytest.raises(Conflict, match="says the same"):
            store(judge, text=f"# only a remark\n{TEXT}")

    @pytest.mark.parametrize(
        "more",
        [
            {"reason": " "},
            {"name": ""},
            {"name": "a b"},
            {"name": "x" * 81},
            {"text": "nothing"},
            {"text": TEXT.replace("number: 2", "number: 1")},
            {"text": TEXT + "testing: {gates: [{kind: scann}]}\n"},
            {"text": TEXT + "testing: {gates: [{kind: manual}]}\n"},
            {"text": TEXT + "testing: {gates: [{kind: pbo}, {kind: pbo}]}\n"},
            {"text": TEXT + "testing: {gates: [{kind: integrity, max_age_days: 3}]}\n"},
        ],
    )
    def test_refuses_what_is_no_policy(self, judge, more):
        with pytest.raises(InvalidInput):
            store(judge, **more)
        assert not PromotionPolicy.objects.exclude(name="default").exists()

    @pytest.mark.parametrize("role", [Role.RESEARCHER, Role.OPERATOR, Role.AUDITOR])
    def test_is_for_those_who_judge(self, role):
        with pytest.raises(Forbidden):
            store(account(role))


class TestStoreNeverMet:
    TEXT = (
        "staging: {gates: [{kind: causality}], approvals: {number: 1}}\n"
        "production: {approvals: {number: 2}}\n"
    )

    def test_is_refused_in_words(self, judge):
        with pytest.raises(InvalidInput, match="causality of staging can never be met") as refused:
            store(judge, text=self.TEXT)

        assert "needs a gate of the kind backtest" in refused.value.detail
        assert not PromotionPolicy.objects.filter(name="light").exists()

    def test_that_was_stored_before_still_judges(self, judge):
        model = registered_model(account(Role.RESEARCHER))
        document = Policy.model_validate(yaml.safe_load(self.TEXT)).model_dump(mode="json")
        newest = PromotionPolicy.objects.filter(name=model.policy).latest("number")
        PromotionPolicy.objects.create(
            name=model.policy, number=newest.number + 1, text=self.TEXT, document=document,
            digest="d" * 64,
        )  # fmt: skip
        version = model_version(model.owner, model=model)

        report = selectors.judge(version, Stage.STAGING, at=AT).report

        assert [(one.name, one.outcome) for one in report.results] == [
            ("causality", "not computed")
        ]


class TestAssign:
    def test_judges_from_now_on(self, judge):
        model = registered_model(account(Role.RESEARCHER))
        store(judge)

        assigned = services.assign_policy(
            model_name=model.name, policy="light", actor=judge, at=AT, reason="a pilot"
        )

        assert assigned.policy == "light"
        assert events_of(model)[1:] == ["policy.assigned"]

    def test_refuses(self, judge):
        model = registered_model(account(Role.RESEARCHER))
        given = {"model_name": model.name, "policy": "default", "actor": judge, "at": AT,
                 "reason": "x"}  # fmt: skip
        before = AuditEvent.objects.count()

        for more, refusal in (
            ({"reason": ""}, InvalidInput),
            ({"policy": "none"}, NotFound),
            ({"model_name": "none"}, NotFound),
            ({"actor": account(Role.RESEARCHER)}, Forbidden),
        ):
            with pytest.raises(refusal):
                services.assign_policy(**given | more)
        assert AuditEvent.objects.count() == before


class TestWarnings:
    def test_name_what_nobody_brings_and_the_nearest_figure(self):
        version = model_version(account(Role.RESEARCHER, "someone"))
        bring_evidence(version, "walk_forward")
        stored = services.store_policy(
            name="odd", actor=account(Role.ADMIN, "odd"), at=AT, reason="For this test.",
            text="testing: {gates: [{kind: kill_drill}, {kind: pbo, minimum: {pob: 1}}]}\n"
            "staging:\n"
            "  gates: [{kind: walk_forward, minimum: {sharp: 1, sharpe: 1}}]\n"
            "  approvals: {number: 1}\n"
            "production: {approvals: {number: 2}}\n",
        )  # fmt: skip

        drill, sharp = selectors.warnings_of_policy(stored)
        assert drill.startswith("kill_drill of testing: nothing on the platform measures it")
        assert sharp.startswith("walk_forward of staging: no evidence of the kind has a figure ")
        assert sharp.endswith("'sharp'; did you mean 'sharpe'?")
