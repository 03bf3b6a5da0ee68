"""Buttons of the registry: offered where they make sense, doing what the services do."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from crowetrade_site.core import storage
from crowetrade_site.core.errors import DomainError
from crowetrade_site.core.models import AuditEvent
from crowetrade_site.core.roles import Role
from registry import jobs, selectors, services
from registry.lifecycle import RequestStatus, Stage, VersionStatus
from registry.models import (
    ModelVersion,
    PromotionPolicy,
    PromotionRequest,
    RegisteredModel,
    StoredFile,
    TrustedType,
)
from tests.factories.accounts import account
from tests.factories.registry import (
    bring_evidence,
    events_of,
    model_version,
    promotion,
    registered_model,
)
from tests.registry.admin.browser import address, login, offered, press, said
from tests.registry.test_integrity import file_of, spoil

pytestmark = pytest.mark.django_db
VERSION = (
    "submit", "request_promotion", "rework", "revoke", "revive", "hold", "release", "waive",
)  # fmt: skip
PROMOTION = ("approve", "execute", "reject", "withdraw")
TEXT = "staging: {approvals: {number: 1}}\nproduction: {approvals: {number: 2}}\n"


class TestVersion:
    @pytest.mark.parametrize(
        ("stage", "target", "action", "reason"),
        [
            (Stage.DEVELOPMENT, Stage.TESTING, "submit", ""),
            (Stage.TESTING, Stage.DEVELOPMENT, "rework", "leaks"),
            (Stage.TESTING, Stage.ARCHIVED, "revoke", "runaway"),
            (Stage.ARCHIVED, Stage.DEVELOPMENT, "revive", "again"),
        ],
    )
    def test_moves_as_the_service_does(self, author, stage, target, action, reason):
        version = model_version(author, stage=stage)
        n_events = AuditEvent.objects.count()

        answer = press(login(author), version, action, reason=reason)

        version.refresh_from_db()
        assert version.stage == target
        assert answer.headers["HX-Redirect"] == address(version)
        assert len(said(answer)) == 1
        assert AuditEvent.objects.count() == n_events + 1
        assert AuditEvent.objects.latest("id").reason == reason

    @pytest.mark.parametrize("action", ["rework", "revoke"])
    def test_wants_a_reason(self, author, action):
        version = model_version(author, stage=Stage.TESTING)

        answer = press(login(author), version, action, reason="")

        assert "This field is required." in answer.content.decode()
        version.refresh_from_db()
        assert version.stage == Stage.TESTING

    def test_tells_a_refusal_in_the_dialog_where_what_was_typed_stays(self, author):
        version = model_version(author, status=VersionStatus.PENDING)

        answer = press(login(author), version, "submit", reason="folds are checked")

        html = answer.content.decode()
        assert "does not meet the gates of testing" in html
        assert "folds are checked" in html
        assert not said(answer)

    def test_requests_a_promotion(self, author):
        version = model_version(author, stage=Stage.TESTING)
        bring_evidence(version, at=timezone.now())

        press(login(author), version, "request_promotion", reason="it holds")

        request = version.requests.get()
        assert (request.target, request.reason) == (Stage.STAGING, "it holds")

    def test_is_held_released_and_waived(self, author, validator):
        version = model_version(author, status=VersionStatus.QUARANTINED)
        press(login(validator), version, "hold", reason="case 7")
        press(login(validator), version, "release", reason="over")
        until = (timezone.now() + timedelta(days=30)).date()
        press(login(account(Role.ADMIN)), version, "waive", reason="pilot", expires_at=str(until))

        assert events_of(version)[1:] == ["version.held", "version.released", "waiver.granted"]
        assert version.waivers.get().expires_at.date() == until
        root = login(account(Role.ADMIN))
        assert "revoke_waiver" in offered(root, version, ("revoke_waiver",))
        press(root, version, "revoke_waiver", reason="a finding")
        assert events_of(version)[-1] == "waiver.revoked"
        assert not offered(root, version, ("revoke_waiver",))

    @pytest.mark.parametrize(
        ("stage", "role", "expected"),
        [
            (Stage.DEVELOPMENT, "author", {"submit", "revoke"}),
            (Stage.DEVELOPMENT, Role.RESEARCHER, set()),
            (Stage.TESTING, "author", {"request_promotion", "rework", "revoke"}),
            (Stage.STAGING, Role.OPERATOR, {"request_promotion", "revoke"}),
            (Stage.PRODUCTION, "author", set()),
            (Stage.PRODUCTION, Role.OPERATOR, {"revoke"}),
            (Stage.PRODUCTION, Role.VALIDATOR, {"revoke", "hold"}),
            (Stage.ARCHIVED, "author", {"revive"}),
            (Stage.ARCHIVED, Role.AUDITOR, set()),
        ],
    )
    def test_offers_what_state_and_role_allow(self, author, stage, role, expected):
        version = model_version(author, stage=stage)
        person = author if role == "author" else account(role)

        assert offered(login(person), version, VERSION) == expected

    def test_offers_testing_where_its_gates_are_met_alone(self, author):
        version = model_version(author, model=registered_model(author, purpose=""))

        assert "submit" not in offered(login(author), version, VERSION)
        RegisteredModel.objects.update(purpose="Timing of majors.")
        assert "submit" in offered(login(author), version, VERSION)

    def test_asks_for_rows_with_an_empty_box(self, author):
        html = login(author).get(address(model_version(author), "convert")).content.decode()

        assert 'name="rows"' in html
        assert "null" not in html.partition('name="rows"')[2].partition("</textarea>")[0]

    @pytest.mark.parametrize("action", ["submit", "revoke", "hold", "waive"])
    def test_is_closed_to_auditors(self, author, action):
        version = model_version(author)

        answer = press(login(account(Role.AUDITOR)), version, action, reason="x")

        assert answer.status_code == 403

    def test_offers_a_waiver_to_admins_for_what_is_in_quarantine(self, author):
        version = model_version(author, status=VersionStatus.QUARANTINED)
        root = account(Role.ADMIN)

        assert "waive" in offered(login(root), version, VERSION)
        StoredFile.objects.update(uploaded_by=root)  # who handed the files in is an author
        assert "waive" not in offered(login(root), version, VERSION)
        StoredFile.objects.update(uploaded_by=author)
        assert "waive" in offered(login(root), version, VERSION)
        ModelVersion.objects.filter(pk=version.pk).update(status=VersionStatus.READY)
        assert "waive" not in offered(login(root), version, VERSION)


class TestPromotion:
    @pytest.fixture
    def request_(self, author):
        version = model_version(author, stage=Stage.STAGING)
        return promotion(version, author, at=timezone.now())

    def test_goes_all_the_way(self, request_, validator, operator):
        for person in (validator, account(Role.VALIDATOR)):
            press(login(person), request_, "approve", reason="fine")
        answer = press(login(operator), request_, "execute")

        request_.refresh_from_db()
        assert request_.status == RequestStatus.EXECUTED
        assert ModelVersion.objects.get(pk=request_.version_id).stage == Stage.PRODUCTION
        assert said(answer) == ["The version is in production."]
        assert set(request_.approvals.values_list("comment", flat=True)) == {"fine"}

    def test_says_what_leaves_production(self, request_, operator, author):
        address_, browser = address(request_, "execute"), login(operator)
        model = request_.version.registered_model

        html = browser.get(address_).content.decode()
        assert "No version of this model is in production" in html
        assert f"<strong>{request_.version}</strong>, digest" in html
        present = model_version(author, model=model, stage=Stage.PRODUCTION)
        assert f"{present}, which is in production now" in browser.get(address_).content.decode()

    def test_shows_in_the_dialog_what_is_agreed_to(self, request_, validator):
        html = login(validator).get(address(request_, "approve")).content.decode()

        assert "manual:kill-switch-drill" in html
        assert "attested by" in html
        assert "Stopped in 0.4 s." in html
        assert request_.evidence_digest in html

    def test_links_what_failed_of_a_twin(self, author, validator):
        """What another version of the same bytes failed stops this one: it has a link there."""
        version, twin = (
            model_version(author, stage=Stage.STAGING, content=b"the same") for _ in range(2)
        )
        request = promotion(version, author, at=timezone.now())
        measured = version.evidence.get(kind="pbo")
        bring_evidence(
            twin, "reproduction", days_ago=0, at=timezone.now(), is_identical=False,
            of=measured.source.partition(":")[2],
        )  # fmt: skip
        link = f"{address(twin.evidence.get())}"

        for page in (address(request, "approve"), address(version), address(request)):
            html = login(validator).get(page).content.decode()
            assert link in html, page
            assert f"for {twin}" in html, page

    def test_refuses_what_changed_since_the_dialog(self, request_, validator):
        seen = request_.evidence_digest
        bring_evidence(
            request_.version, "pbo", "reproduction", days_ago=0, at=timezone.now(), probability=0.1
        )

        answer = press(login(validator), request_, "approve", reason="", evidence_digest=seen)

        assert "look again" in answer.content.decode()
        assert not request_.approvals.exists()

    def test_is_rejected_and_withdrawn(self, request_, author, validator):
        wanting = press(login(validator), request_, "reject", reason="")
        assert "This field is required." in wanting.content.decode()
        press(login(author), request_, "withdraw", reason="")
        answer = press(login(validator), request_, "reject", reason="late")

        request_.refresh_from_db()
        assert request_.status == RequestStatus.WITHDRAWN
        assert "it is final" in answer.content.decode()

    def test_refuses_ones_own(self, request_, author):
        author.groups.add(account(Role.VALIDATOR).groups.get())

        answer = press(login(author), request_, "approve", reason="")

        assert "of their own" in answer.content.decode()

    def test_offers_what_state_and_role_allow(self, request_, author, validator, operator):
        def buttons(person):
            return offered(login(person), request_, PROMOTION)

        assert buttons(author) == {"withdraw"}
        assert buttons(validator) == {"approve", "reject"}
        assert buttons(operator) == set()
        for person in (validator, account(Role.VALIDATOR)):
            services.approve_promotion(
                request_id=request_.public_id, actor=person, at=timezone.now()
            )
        assert buttons(validator) == {"reject"}
        assert buttons(operator) == {"execute"}
        services.execute_promotion(request_id=request_.public_id, actor=operator, at=timezone.now())
        assert buttons(operator) == buttons(author) == buttons(validator) == set()


class TestRefusedPromotion:
    """What the service would refuse whoever asks, no page offers, and each says why."""

    @pytest.fixture
    def request_(self, author):
        version = model_version(author, stage=Stage.STAGING)
        return promotion(version, author, at=timezone.now())

    def missing(self, request):
        file_of(request.version).unlink()
        return "Parameters.json are not in the artefact store; restore them from a backup"

    def other(self, request):
        spoil(request.version)
        jobs.verify_versions(at=timezone.now())
        return "Gate integrity: stored bytes were found to be others than those registered"

    def unmet(self, request):
        bring_evidence(request.version, "pbo", days_ago=0, at=timezone.now(), probability=0.9)
        return "Gate pbo: probability is 0.9, at most 0.5 is asked"

    def moved(self, request):
        ModelVersion.objects.update(stage=Stage.TESTING)
        return "The version is in testing by now"

    def ended(self, request):
        PromotionRequest.objects.update(expires_at=timezone.now() - timedelta(days=1))
        return "The request ended on"

    HOW = ("missing", "other", "unmet", "moved", "ended")

    @pytest.mark.parametrize("how", HOW)
    def test_is_not_offered_for_approval(self, request_, validator, how):
        assert "approve" in offered(login(validator), request_, PROMOTION)

        why = getattr(self, how)(request_)

        browser = login(validator)
        assert offered(browser, request_, PROMOTION) == {"reject"}
        html = browser.get(address(request_)).content.decode()
        assert "Nobody can approve or carry it out now" in html
        assert why.lower() in html.lower()
        assert "May still approve" not in html
        with pytest.raises(DomainError):
            services.approve_promotion(
                request_id=request_.public_id, actor=validator, at=timezone.now()
            )

    @pytest.mark.parametrize("how", HOW)
    def test_is_not_offered_for_execution(self, request_, validator, operator, how):
        for person in (validator, account(Role.VALIDATOR)):
            services.approve_promotion(
                request_id=request_.public_id, actor=person, at=timezone.now()
            )
        assert "execute" in offered(login(operator), request_, PROMOTION)

        getattr(self, how)(request_)

        browser = login(operator)
        assert offered(browser, request_, PROMOTION) == set()
        assert "An operator may carry it out" not in browser.get(address(request_)).content.decode()
        with pytest.raises(DomainError):
            services.execute_promotion(
                request_id=request_.public_id, actor=operator, at=timezone.now()
            )

    def test_is_not_offered_for_execution_once_its_approvals_lapsed(
        self, request_, validator, operator
    ):
        for person in (validator, account(Role.VALIDATOR)):
            services.approve_promotion(
                request_id=request_.public_id, actor=person, at=timezone.now()
            )
        bring_evidence(request_.version, "pbo", days_ago=0, at=timezone.now(), probability=0.1)
        bring_evidence(request_.version, "reproduction", days_ago=0, at=timezone.now())

        standing = selectors.standing_of(
            selectors.get_request(request_.public_id), at=timezone.now()
        )

        assert (standing.n_standing, standing.is_stale, standing.refusals) == (0, True, [])
        assert standing.execution_refusals == [
            "the evidence changed after the approvals; they have lapsed: approve anew"
        ]
        assert offered(login(operator), request_, PROMOTION) == set()
        assert "approve" in offered(login(validator), request_, PROMOTION)
        with pytest.raises(DomainError, match="approve anew"):
            services.execute_promotion(
                request_id=request_.public_id, actor=operator, at=timezone.now()
            )

    def test_says_how_many_files_nobody_looked_for(self, request_, validator, monkeypatch):
        monkeypatch.setattr("registry.selectors.files.MOST_LOOKED_FOR", 0)

        html = login(validator).get(address(request_)).content.decode()

        assert "Of the files of this version 1 were not looked for in the artefact store" in html

    def test_is_offered_again_once_the_bytes_are_back(self, request_, validator):
        path = file_of(request_.version)
        content = path.read_bytes()
        path.unlink()
        assert "approve" not in offered(login(validator), request_, PROMOTION)

        storage.put(content)

        assert "approve" in offered(login(validator), request_, PROMOTION)


class TestModel:
    @pytest.fixture
    def model(self, author):
        model = registered_model(author, "alpha")
        model_version(author, model=model, stage=Stage.PRODUCTION)
        model.versions.update(stage=Stage.ARCHIVED)
        model_version(author, model=model, stage=Stage.PRODUCTION)
        return model

    def test_is_rolled_back(self, model, operator):
        press(login(operator), model, "roll_back", reason="drifted")

        assert model.versions.get(stage=Stage.PRODUCTION).number == 1

    def test_gets_another_policy(self, model, validator):
        services.store_policy(
            name="light", text=TEXT, actor=validator, at=timezone.now(), reason="x"
        )

        press(login(validator), model, "assign_policy", policy="light", reason="pilot")

        model.refresh_from_db()
        assert model.policy == "light"

    def test_offers_what_state_and_role_allow(self, model, author, operator, validator):
        actions = ("roll_back", "assign_policy")

        assert offered(login(author), model, actions) == set()
        assert offered(login(operator), model, actions) == {"roll_back"}
        assert offered(login(validator), model, actions) == set(actions)
        services.report_tampering(
            version_id=model.versions.get(number=1).public_id, path="x", found="0" * 64,
            at=timezone.now(),
        )  # fmt: skip
        assert offered(login(operator), model, actions) == set()


class TestPolicy:
    ADDRESS = "admin:registry_promotionpolicy_store"

    def submit(self, browser, **more):
        fields = {"_form_submitted": "True", "name": "light", "text": TEXT, "reason": "pilot"}
        return browser.post(reverse(self.ADDRESS), fields | more, headers={"HX-Request": "true"})

    def test_is_stored(self, validator):
        answer = self.submit(login(validator))

        stored = PromotionPolicy.objects.get(name="light")
        assert answer.headers["HX-Redirect"] == address(stored)
        assert said(answer) == ["light v1 is in force."]

    def test_begins_with_the_text_of_its_page(self, validator):
        policy = PromotionPolicy.objects.latest("number")

        html = login(validator).get(address(policy, "store_next")).content.decode()

        assert "deflated_sharpe" in html
        assert 'value="default"' in html

    def test_shows_a_refusal_beside_the_text(self, validator):
        answer = self.submit(login(validator), text=f"{TEXT}stagin: 1")

        html = answer.content.decode()
        assert "did you mean" in html
        assert "stagin: 1" in html
        assert not PromotionPolicy.objects.filter(name="light").exists()

    @pytest.mark.parametrize("role", [Role.RESEARCHER, Role.OPERATOR, Role.AUDITOR])
    def test_is_closed_to_others(self, role):
        assert self.submit(login(account(role))).status_code == 403


class TestConversion:
    @pytest.fixture
    def pickled(self, author):
        version = model_version(author, status=VersionStatus.QUARANTINED)
        ModelVersion.objects.update(format="pickle")
        return version

    def test_is_queued_and_shown(self, author, pickled):
        browser = login(author)

        answer = press(browser, pickled, "convert", rows="[[1.0, 2.0]]", target="skops")

        assert said(answer) == ["The conversion is queued."]
        assert "Conversion to skops: queued" in browser.get(address(pickled)).content.decode()

    def test_may_be_to_onnx(self, author, pickled):
        browser = login(author)

        press(browser, pickled, "convert", rows="[[1.0, 2.0]]", target="onnx")

        assert "Conversion to onnx: queued" in browser.get(address(pickled)).content.decode()

    def test_may_be_of_complete_rows_alone(self, author, pickled):
        ready = model_version(author)
        framework = {"missing_values": "refuse"}
        ModelVersion.objects.filter(pk=ready.pk).update(framework=framework)
        browser, asked = login(author), {"rows": "[[1.0, 2.0]]", "target": "onnx"}

        press(browser, pickled, "convert", **asked, missing_values="refuse")

        assert pickled.conversions.get().missing_values == "refuse"
        assert "Takes no missing values" in browser.get(address(ready)).content.decode()
        assert "Takes no missing values" not in browser.get(address(pickled)).content.decode()

    @pytest.mark.parametrize("rows", ["", "{}", "[", "3"])
    def test_wants_a_list_of_rows(self, author, pickled, rows):
        press(login(author), pickled, "convert", rows=rows, target="skops")

        assert not pickled.conversions.exists()

    def test_is_offered_to_the_author_of_a_pickle_or_skops_alone(self, author, pickled):
        ready = model_version(author)
        ModelVersion.objects.filter(pk=ready.pk).update(format="skops")

        assert offered(login(author), ready, ("convert",)) == {"convert"}
        assert offered(login(author), pickled, ("convert",)) == {"convert"}
        assert not offered(login(account(Role.RESEARCHER)), pickled, ("convert",))
        assert not offered(login(author), model_version(author), ("convert",))


class TestTrustedType:
    def test_goes_from_hand_to_hand(self, author, validator):
        where = reverse("admin:registry_trustedtype_propose")
        fields = {
            "_form_submitted": "True",
            "desk": "g10",
            "name": "scipy.x.B",
            "reason": "Needed.",
        }
        login(author).post(where, fields, headers={"HX-Request": "true"})
        row = TrustedType.objects.get()
        assert offered(login(author), row, ("approve", "revoke")) == {"revoke"}
        assert offered(login(validator), row, ("approve", "revoke")) == {"approve", "revoke"}

        press(login(validator), row, "approve", reason="")
        row.refresh_from_db()
        assert row.state == "trusted"
        press(login(validator), row, "revoke", reason="Broken.")
        row.refresh_from_db()
        assert row.state == "revoked"


class TestOwner:
    def test_changes_with_a_reason(self, author):
        model = registered_model(author)
        heir = account(Role.RESEARCHER, "hedda")

        answer = press(login(author), model, "transfer", owner="hedda", reason="Desk moved.")

        model.refresh_from_db()
        assert model.owner == heir
        assert said(answer) == ["The model has another owner."]
        assert not offered(login(author), model, ("transfer",))
