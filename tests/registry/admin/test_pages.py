"""Pages of the registry for every state and role, within their budgets."""

import re
from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from crowetrade_site.core.roles import Role
from registry import services
from registry.lifecycle import Stage, VersionStatus
from registry.models import (
    Conversion,
    ModelVersion,
    PromotionPolicy,
    PromotionRequest,
    SigningBundle,
)
from tests.factories.accounts import account
from tests.factories.backtests import AT
from tests.factories.registry import (
    attest_drill,
    bring_evidence,
    measure,
    model_version,
    promotion,
    registered_model,
)
from tests.registry.admin.browser import address, login, shown

pytestmark = pytest.mark.django_db
NAMES = [
    "registeredmodel", "modelversion", "promotionrequest", "evidence", "promotionpolicy",
    "trustedtype",
]  # fmt: skip


@pytest.fixture
def rows(author, validator):
    """A row of every kind, in every state."""
    model = registered_model(author, "alpha")
    made = [model_version(author, model=model, stage=stage) for stage in Stage]
    made += [model_version(author, model=model, status=status) for status in VersionStatus]
    staged = made[2]
    request = promotion(staged, author, validator=validator, at=timezone.now())
    services.report_tampering(version_id=made[0].public_id, path="x", found="0" * 64, at=AT)
    piece = staged.evidence.filter(is_measured=False).get()
    return [model, *made, request, piece, PromotionPolicy.objects.latest("number")]


class TestPages:
    @pytest.mark.parametrize("role", Role)
    def test_open_for_every_role_and_state(self, rows, role):
        browser = login(account(role))

        for row in rows:
            shown(browser, row)

    def test_keep_the_letters_of_a_name_above_them(self, rows, author):
        html = shown(login(author), rows[0])

        assert re.search(r'tracking-tight">\s*alpha\s*</a>', html)
        assert not re.search(r">\s*Alpha\s*<", html)

    @pytest.mark.parametrize("role", Role)
    def test_link_to_people_for_those_alone_who_may_look(self, rows, author, role):
        browser = login(account(role))
        link = reverse("admin:auth_user_change", args=[author.pk])

        for row in rows[:3]:
            html = shown(browser, row)
            assert "author" in html
            assert (link in html) == (browser.get(link).status_code == 200), row

    @pytest.mark.parametrize("role", Role)
    @pytest.mark.parametrize("name", NAMES)
    def test_list_rows(self, rows, role, name):
        answer = login(account(role)).get(reverse(f"admin:registry_{name}_changelist"))

        assert answer.status_code == 200

    def test_stay_closed_without_a_role(self, rows):
        browser = login(account(""))

        for row in rows:
            assert browser.get(address(row)).status_code in {302, 403}

    @pytest.mark.parametrize("name", NAMES)
    def test_lead_back_from_a_row_that_is_not(self, author, name):
        base = reverse(f"admin:registry_{name}_changelist")

        assert login(author).get(f"{base}999999/change/").status_code in {302, 404}

    def test_open_by_the_identifier_that_the_api_gives(self, rows, author):
        browser = login(author)
        for row in [*rows[:2], rows[-3], rows[-1]]:
            base = address(row).replace(f"/{row.pk}/", f"/{row.public_id}/")
            assert browser.get(base)["Location"] == address(row)
        assert browser.get(f"/admin/registry/modelversion/{uuid4()}/change/").status_code == 404

    @pytest.mark.parametrize(
        ("name", "query", "n_rows"),
        [
            ("registeredmodel", "q=alph", 1),
            ("registeredmodel", "q=nothing", 0),
            ("registeredmodel", "q=a%00b", 0),
            ("modelversion", "q=%00", 0),
            ("evidence", "q=a%00", 0),
            ("registeredmodel", "tier__exact=high", 1),
            ("registeredmodel", "versions__stage__exact=production", 1),
            ("modelversion", "stage__exact=staging", 1),
            ("modelversion", "status__exact=quarantined", 1),
            ("modelversion", "q=alpha", 9),
            ("modelversion", "q=" + "0" * 64, 0),
            ("modelversion", "is_held__exact=1", 0),
            ("promotionrequest", "waiting=me", 0),
            ("promotionrequest", "status__exact=open", 1),
            ("evidence", "kind__exact=backtest", 1),
            ("promotionpolicy", "q=default", 2),
        ],
    )
    def test_filter_and_search(self, rows, author, name, query, n_rows):
        base = reverse(f"admin:registry_{name}_changelist")

        answer = login(author).get(f"{base}?{query}")

        assert answer.status_code == 200
        assert answer.context["cl"].result_count == n_rows


class TestWaiting:
    """A page on which a worker's answer is waited for asks for it by itself, and no other does."""

    def test_asks_until_a_worker_has_looked_at_the_files(self, author):
        version = model_version(author, status=VersionStatus.PENDING)
        browser, live = login(author), f"{address(version, 'live')}"

        assert f'hx-get="{live}" hx-trigger="every 2s"' in shown(browser, version)
        waiting = browser.get(live)
        assert "Nobody has looked at its files yet" in waiting.content.decode()
        assert "HX-Refresh" not in waiting.headers
        ModelVersion.objects.filter(pk=version.pk).update(status=VersionStatus.READY)
        assert browser.get(live).headers["HX-Refresh"] == "true"
        assert live not in shown(browser, version)

    def test_asks_until_a_conversion_is_done(self, author):
        version = model_version(author)
        asked = Conversion.objects.create(
            version=version, target="onnx", rows=[[1.0]], requested_by=author
        )
        browser, live = login(author), address(version, "live")

        assert live in shown(browser, version)
        assert "HX-Refresh" not in browser.get(live).headers
        Conversion.objects.filter(pk=asked.pk).update(status="failed", reason="x", finished_at=AT)
        assert browser.get(live).headers["HX-Refresh"] == "true"

    def test_is_told_to_whoever_may_see_the_version_alone(self, author):
        version = model_version(author, status=VersionStatus.PENDING)

        assert login(account("")).get(address(version, "live")).status_code in {302, 403}


class TestEvidence:
    def test_leads_to_what_measured_by_a_short_name(self, author):
        version, key = model_version(author), uuid4()
        measure(
            version, "backtest", {"n_bars": 2520, "sharpe": 0.8}, source=key,
            digests={"artifact": version.digest, "data": "0" * 64},
        )  # fmt: skip
        page = reverse("admin:backtests_run_change", args=[key])
        browser = login(author)

        rows = browser.get(reverse("admin:registry_evidence_changelist")).content.decode()
        html = shown(browser, version.evidence.get())

        assert f'<a href="{page}" class="text-link">run {str(key)[:8]}</a>' in rows
        assert f"backtests.run:{key}" not in rows
        assert f'<a href="{page}" class="text-link">backtests.run:{key}</a>' in html
        assert "n_bars: 2520\nsharpe: 0.8" in html


class TestModelPage:
    def test_shows_versions_aliases_and_what_the_card_lacks(self, author):
        model = registered_model(author, "alpha", purpose="")
        model_version(author, model=model)
        services.set_alias(name="alpha", alias="candidate", number=1, actor=author, at=AT)

        html = shown(login(author), model)

        assert "@candidate" in html
        assert "Before a version goes to testing it needs: purpose." in html

    def test_tells_who_did_what_as_what_and_why(self, author, validator):
        model = registered_model(author, "alpha")
        version = model_version(author, model=model, stage=Stage.TESTING)
        services.move_version(
            version_id=version.public_id, target=Stage.DEVELOPMENT, actor=validator, at=AT,
            reason="leaks the future",
        )  # fmt: skip

        html = shown(login(author), model)

        assert "Version reworked" in html
        assert "vera (validator)" in html
        assert "“leaks the future”" in html
        assert "testing → <b>development</b>" in html

    def test_tells_of_no_other_model(self, author):
        model = registered_model(author, "alpha")
        other = registered_model(author, "beta")
        services.update_model(name="beta", card={"desk": "secret"}, actor=author, at=AT)

        assert "secret" not in shown(login(author), model)
        assert "secret" in shown(login(author), other)


class TestVersionPage:
    def test_says_what_is_known_by_now_against_a_version_in_production(self, author):
        version = model_version(author, stage=Stage.PRODUCTION)
        found = {"of": "r1", "n_cuts": 9, "n_differing": 3, "n_responding": 9}
        words = "Known by now, and no rollback returns to it"

        assert words not in shown(login(author), version)
        measure(version, "causality", found)

        html = shown(login(author), version)
        assert words in html
        assert "at 3 of 9 cuts" in html
        ModelVersion.objects.filter(pk=version.pk).update(compromised_at=AT)
        assert words not in shown(login(author), version)  # which says what is graver

    def test_says_that_no_rollback_returns_to_a_pickle(self, author):
        version = model_version(author, stage=Stage.PRODUCTION, status=VersionStatus.QUARANTINED)
        ModelVersion.objects.filter(pk=version.pk).update(stage=Stage.ARCHIVED)
        version.refresh_from_db()

        assert "no rollback returns to it" in shown(login(author), version)

    def test_shows_gates_evidence_files_and_lineage(self, author, validator):
        version = model_version(author, stage=Stage.STAGING)
        bring_evidence(version, "reproduction", at=timezone.now())
        attest_drill(version, validator, timezone.now())
        SigningBundle.objects.create(
            version=version, bundle={}, public_key="PEM", key_id="key-1", attached_by=author,
            verified_at=AT,
        )  # fmt: skip

        html = shown(login(author), version)

        for text in (
            "Gates of production", "parameters.json", "no evidence", "attested by vera",
            "backtests.run:", "key-1", version.digest, "Nothing to remark",
        ):  # fmt: skip
            assert text in html, text
        assert address(version.evidence.get(is_measured=True)) in html

    @pytest.mark.parametrize(
        ("columns", "text"),
        [
            ({"compromised_at": AT}, "Compromised"),
            ({"status": "refused", "findings": [{"text": "names os.system"}]}, "names os.system"),
            ({"status": "quarantined"}, "Without a waiver"),
            ({"status": "pending"}, "Waiting for a worker"),
            ({"is_held": True}, "legal hold"),
        ],
    )
    def test_says_what_is_wrong(self, author, columns, text):
        version = model_version(author)
        ModelVersion.objects.filter(pk=version.pk).update(**columns)

        assert text in shown(login(author), version)

    def test_does_not_call_a_compromised_version_ready(self, author):
        version = model_version(author)
        browser, listed = login(author), reverse("admin:registry_modelversion_changelist")
        assert ">ready<" in "".join(shown(browser, version).split())

        ModelVersion.objects.filter(pk=version.pk).update(compromised_at=AT)

        page = "".join(shown(browser, version).split())
        assert ">ready<" not in page
        assert ">compromised<" in page
        assert ">compromised<" in "".join(browser.get(listed).content.decode().split())

    def test_escapes_what_people_wrote(self, author):
        version = model_version(author)
        ModelVersion.objects.filter(pk=version.pk).update(
            description="<script>1</script>", findings=[{"text": "<script>2</script>"}],
            parameters={"<script>3": "</script>"},
        )  # fmt: skip

        html = shown(login(author), version)

        assert not any(f"<script>{number}" in html for number in (1, 2, 3))


class TestPromotionPage:
    def test_shows_the_checklist_and_who_may_approve(self, author, validator):
        version = model_version(author, stage=Stage.STAGING)
        request = promotion(version, author, at=timezone.now())

        html = shown(login(validator), request)

        assert "probability 0.2" in html
        assert f"<dt>Reason</dt><dd>{request.reason}</dd>" in html
        assert "May still approve:" in html
        assert "<strong>vera</strong>" in html

    def test_tells_who_answers_for_the_policy_and_warns_where_that_is_who_asks(
        self, author, validator
    ):
        version = model_version(author, stage=Stage.TESTING)
        asker = account("admin", "ada")
        asker.groups.add(Group.objects.get_or_create(name="researcher")[0])
        first = promotion(version, author, at=timezone.now())
        assert "nobody: the model began with it" in shown(login(validator), first)
        services.withdraw_promotion(request_id=first.public_id, actor=author, at=timezone.now())
        services.assign_policy(
            model_name=version.registered_model.name, policy="default", actor=asker,
            at=timezone.now(), reason="It fits.",
        )  # fmt: skip
        mine = promotion(version, asker, at=timezone.now())

        html = shown(login(validator), mine)

        assert "<dt>Policy assigned by</dt><dd>ada, " in html
        assert "ada asks for this promotion and assigned default" in html
        assert "<strong>vera</strong>" in html

    def test_shows_a_gate_that_is_met_no_more_and_names_nobody(self, author, validator):
        version = model_version(author, stage=Stage.STAGING)
        request = promotion(version, author, at=timezone.now())
        bring_evidence(
            version, "pbo", "reproduction", days_ago=0, at=timezone.now(), probability=0.9
        )

        html = shown(login(validator), request)

        assert "probability is 0.9, at most 0.5 is asked" in html
        assert "Nobody can approve it now" in html
        assert "May still approve:" not in html

    def test_shows_the_move_that_was_asked_for_and_only_its_history(self, author, validator):
        version = model_version(author, stage=Stage.TESTING)
        first = promotion(version, author, at=timezone.now())
        services.withdraw_promotion(
            request_id=first.public_id, actor=author, at=timezone.now(), reason="too early"
        )
        second = promotion(version, author, at=timezone.now())
        services.approve_promotion(
            request_id=second.public_id, actor=validator, at=timezone.now(), comment="fine"
        )

        answer = login(validator).get(address(second))

        assert answer.context["promotion"].version.stage == Stage.STAGING
        assert answer.context["asked_from"] == Stage.TESTING
        assert [one.what for one in answer.context["history"]] == [
            "promotion executed", "promotion approved", "promotion requested",
        ]  # fmt: skip
        assert "too early" not in answer.content.decode()

    def test_says_who_attested(self, author, validator):
        version = model_version(author, stage=Stage.STAGING)
        request = promotion(version, author, validator=validator, at=timezone.now())

        assert f"attested by {validator.username}, " in shown(login(author), request)

    def test_says_that_approvals_lapsed(self, author, validator):
        version = model_version(author, stage=Stage.STAGING)
        request = promotion(version, author, at=timezone.now())
        services.approve_promotion(
            request_id=request.public_id, actor=validator, at=timezone.now(), comment="fine"
        )
        bring_evidence(
            version, "pbo", "reproduction", days_ago=0, at=timezone.now(), probability=0.1
        )

        html = shown(login(validator), request)

        assert "Approvals count no more" in html
        assert "the evidence changed after the approvals" in html
        assert address(request, "approve") in html

    def test_says_who_is_missing(self, author):
        version = model_version(author, stage=Stage.TESTING)
        request = promotion(version, author, at=timezone.now())

        assert "nobody: it takes 1 approval by admin or validator, other than" in shown(
            login(author), request
        )

    def test_shows_what_waits_for_the_viewer(self, author, validator):
        version = model_version(author, stage=Stage.TESTING)
        promotion(version, author, at=timezone.now())
        base = f"{reverse('admin:registry_promotionrequest_changelist')}?waiting=me"

        assert login(validator).get(base).context["cl"].result_count == 1
        assert login(author).get(base).context["cl"].result_count == 0
        overview = login(validator).get(reverse("admin:index")).context
        assert (overview["promotions_waiting"], overview["production_versions"]) == (1, 0)


class TestBudgets:
    def approved_once(self, author, judge):
        """Ask for production, with one of two approvals."""
        version = model_version(author, stage=Stage.STAGING)
        request = promotion(version, account(Role.OPERATOR), at=timezone.now())
        services.approve_promotion(
            request_id=request.public_id, actor=judge, at=timezone.now(), comment="fine"
        )

    @pytest.mark.parametrize("name", NAMES)
    def test_do_not_grow_with_the_rows(self, author, validator, name):
        browser, judge = login(validator), account(Role.VALIDATOR)
        base = reverse(f"admin:registry_{name}_changelist")
        counts = []
        for n_more in (2, 12):
            for _ in range(n_more):
                self.approved_once(author, judge)
            with CaptureQueriesContext(connection) as queries:
                browser.get(base)
            counts.append(len(queries))

        assert counts[0] == counts[1] <= 12

    def test_hold_on_the_pages(self, author, validator):
        model = registered_model(author)
        for _ in range(5):
            version = model_version(author, model=model, stage=Stage.STAGING)
            request = promotion(version, author, validator=validator, at=timezone.now())
        browser = login(validator)

        for row, budget in ((model, 17), (version, 27), (request, 16)):
            ContentType.objects.clear_cache()  # or the first page of a process pays for the others
            with CaptureQueriesContext(connection) as queries:
                browser.get(address(row))
            assert len(queries) <= budget, row

    def test_hold_for_a_request_that_ended(self, author, validator):
        request = promotion(model_version(author, stage=Stage.TESTING), author, at=timezone.now())
        PromotionRequest.objects.filter(pk=request.pk).update(
            status="expired", decided_at=timezone.now() + timedelta(days=40)
        )

        assert "as they were last judged" in shown(login(validator), request)
