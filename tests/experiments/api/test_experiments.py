"""The life of an experiment over REST."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from experiments import jobs
from experiments.intake import of_rows
from experiments.models import Analysis, Experiment
from experiments.services.assigning import Unit, assign_units
from experiments.services.outcomes import record_outcomes
from tests.factories import experiments
from tests.factories.accounts import account
from tests.factories.clients import client, problem
from tests.factories.feeding import START, of_arms, plan, running

EXPERIMENTS = "/api/v1/experiments/"
WHY = {"reason": "because"}


@pytest.fixture
def owner(db):
    return account("researcher")


@pytest.fixture
def api(owner):
    return client(owner)


def url(experiment, tail="") -> str:
    key = experiment["id"] if isinstance(experiment, dict) else experiment.public_id
    return f"{EXPERIMENTS}{key}/{tail}"


def made(api, **more) -> dict:
    answer = api.post(EXPERIMENTS, {"plan": plan(**more)}, format="json")
    assert answer.status_code == 201, answer.content
    return answer.json()


class TestExperiments:
    def test_keeps_a_plan_as_a_draft(self, api, owner):
        answer = api.post(EXPERIMENTS, {"plan": plan()}, format="json")

        body = answer.json()
        assert answer["Location"] == url(body)
        assert (body["status"], body["owner"]) == ("draft", owner.username)
        assert [arm["name"] for arm in body["arms"]] == ["champion", "challenger"]
        assert body["plan"]["analysis"]["horizon_periods"] == 500
        assert body["allocation"] is None

    def test_makes_one_of_one_key(self, api):
        headers = {"Idempotency-Key": "k"}
        ids = {
            api.post(EXPERIMENTS, {"plan": plan()}, format="json", headers=headers).json()["id"]
            for _ in range(3)
        }

        assert ids == {str(Experiment.objects.get().public_id)}

    @pytest.mark.parametrize(
        "change",
        [
            {"arms": [{"name": "alone", "control": True}]},
            {"allocation": {"weights": {"champion": 0.6, "challenger": 0.5}}},
            {"allocation": {"weights": {"champion": 0.0, "challenger": 0.0}}},
            {"metrics": []},
            {"horizon": 1},
        ],
    )
    def test_refuses_a_plan_that_cannot_be_carried_out(self, api, change):
        problem(api.post(EXPERIMENTS, {"plan": plan(**change)}, format="json"), 422)
        assert not Experiment.objects.exists()

    def test_lists_by_state_owner_and_design(self, api, owner):
        made(api, name="draft")
        running(owner, name="shadow")
        running(account("researcher"), name="assigned", design="assigned")

        def names(query):
            return [one["name"] for one in api.get(f"{EXPERIMENTS}?{query}").json()["results"]]

        assert names("status=running") == ["assigned", "shadow"]
        assert names("status=draft&status=running&design=shadow") == ["shadow", "draft"]
        assert names(f"owner={owner.username}&status=running") == ["shadow"]
        assert names("page_size=1") == ["assigned"]

    def test_lists_thirty_with_as_many_queries_as_one(self, api, owner):
        counts = []
        for n in (1, 29):
            for number in range(n):
                made(api, name=f"of-{n}-{number}")
            with CaptureQueriesContext(connection) as queries:
                api.get(EXPERIMENTS)
            counts.append(len(queries))

        assert counts[0] == counts[1] <= 4  # token, experiments, arms, metrics


class TestLife:
    def test_goes_from_draft_to_archive(self, api, django_capture_on_commit_callbacks):
        draft = made(api)

        def move(verb, body):
            answer = api.post(url(draft, f"{verb}/"), body, format="json")
            assert answer.status_code == 200, answer.content
            return answer.json()

        started = move("start", {})
        assert (started["status"], len(started["plan_digest"])) == ("running", 64)
        assert started["allocation"]["weights"] == {"champion": 0.5, "challenger": 0.5}
        assert move("pause", WHY)["status_reason"] == "because"
        assert move("resume", WHY)["status"] == "running"
        answer = {"verdict": "winner", "winner": "challenger", **WHY}
        assert move("conclude", answer)["winner"] == "challenger"
        assert move("archive", {})["status"] == "archived"

    def test_starts_with_arms_that_are_the_same_files_where_that_is_said(self, api, owner):
        draft = experiments.alike(owner)

        told = problem(api.post(url(draft, "start/"), {}, format="json"), 409)
        answer = api.post(url(draft, "start/"), {"allow_same_arms": True}, format="json")

        assert "allow_same_arms to start an A/A test" in told["detail"]
        assert answer.json()["status"] == "running"
        assert "this is an A/A test" in answer.json()["notes"][0]

    def test_is_revised_only_as_a_draft(self, api):
        draft = made(api)
        better = {"plan": plan(hypothesis="It earns much more."), "reason": "sharper"}

        revised = api.patch(url(draft), better, format="json").json()
        api.post(url(draft, "start/"), {}, format="json")

        assert revised["plan"]["hypothesis"] == "It earns much more."
        problem(api.patch(url(draft), better, format="json"), 409)
        problem(api.post(url(draft, "start/"), {}, format="json"), 409)

    @pytest.mark.parametrize("verb", ["pause", "resume", "conclude"])
    def test_needs_a_reason(self, api, owner, verb):
        problem(api.post(url(running(owner), f"{verb}/"), {}, format="json"), 422)

    def test_is_the_owner_s(self, api, owner):
        stranger = client(account("researcher"))

        problem(stranger.post(url(running(owner), "pause/"), WHY, format="json"), 403)

    def test_says_what_the_planned_time_can_show(self, api, owner):
        shadow, units = running(owner), running(owner, name="venue", design="assigned")

        shown = api.get(url(shadow)).json()["detectability"]

        assert shown["years"] == pytest.approx(500 / 252)
        assert shown["years_for_ratio_of_1"] == pytest.approx(7.85, abs=0.01)
        assert shown["information_ratio"] == pytest.approx((7.85 * 252 / 500) ** 0.5, rel=1e-3)
        assert "four of five cases" in shown["sentence"]
        assert api.get(url(units)).json()["detectability"] is None

    def test_sizes_a_plan_that_is_not_kept(self, api, owner):
        assumed = {"effect": 0.5, "deviation": 4.0, "units_per_period": 200}
        given = plan(design="assigned", assumptions=assumed)
        before = Experiment.objects.count()

        sized = api.post("/api/v1/experiments/sizing/", {"plan": given}, format="json")
        kept = api.post("/api/v1/experiments/", {"plan": given}, format="json")

        assert sized.status_code == 200
        assert sized.json()["sizing"] == kept.json()["sizing"]
        assert sized.json()["sizing"]["n_units"] > 1000
        assert "2,0" in sized.json()["sizing"]["sentence"]
        assert sized.json()["detectability"] is None
        assert Experiment.objects.count() == before + 1
        wrong = given | {"assumptions": {"effect": 0.5, "deviation": 4.0}}
        refused = api.post("/api/v1/experiments/sizing/", {"plan": wrong}, format="json")
        assert "need units_per_period" in problem(refused, 422)["detail"]
        nobody = given | {"assumptions": assumed | {"units_per_period": 0.001}}
        unsized = api.post("/api/v1/experiments/sizing/", {"plan": nobody}, format="json")
        assert "Arms need two units" in problem(unsized, 422)["detail"]

    def test_has_notes_of_the_plan(self, api):
        ramp = [{"at": "2026-01-01T00:00:00Z", "share": 0.1},
                {"at": "2026-06-01T00:00:00Z", "share": 1.0}]  # fmt: skip
        shown = made(api, design="assigned", assignment={"ramp": ramp})

        assert shown["notes"][0].startswith("The ramp makes the standard error")
        assert shown["acknowledged"] == []

    def test_is_shown_with_few_queries(self, api, owner):
        experiment = running(owner)
        api.get(url(experiment))  # the token's first use is written down

        with CaptureQueriesContext(connection) as queries:
            api.get(url(experiment))

        assert len(queries) <= 6  # token, experiment, arms, metrics, shares, tallies


class TestAllocations:
    def test_are_given_with_a_reason_and_listed(self, api, owner):
        experiment = running(owner, design="assigned")
        wanted = {"weights": {"champion": 0.2, "challenger": 0.8}, **WHY}

        answer = api.post(url(experiment, "allocations/"), wanted, format="json")
        listed = api.get(url(experiment, "allocations/")).json()["results"]

        assert answer.status_code == 201
        assert [one["number"] for one in listed] == [2, 1]
        assert listed[0]["weights"] == wanted["weights"]
        assert (listed[0]["cause"], listed[1]["cause"]) == ("person", "start")

    @pytest.mark.parametrize("share", [0.9, -0.2, "NaN"])
    def test_sum_to_one(self, api, owner, share):
        wanted = {"weights": {"champion": 0.2, "challenger": share}, **WHY}

        answer = api.post(
            url(running(owner, design="assigned"), "allocations/"), wanted, format="json"
        )

        problem(answer, 422)


class TestContexts:
    @pytest.fixture
    def experiment(self, owner):
        context = {"attribute": "regime", "values": ["calm", "turbulent"]}
        return running(owner, design="assigned", allocation={"context": context})

    def test_have_shares_of_their_own(self, api, experiment):
        wanted = {"weights": {"champion": 0.2, "challenger": 0.8}, "context": "calm", **WHY}

        answer = api.post(url(experiment, "allocations/"), wanted, format="json")
        one = api.get(url(experiment)).json()
        listed = api.get(url(experiment, "allocations/")).json()["results"]

        assert (answer.status_code, answer.json()["context"]) == (201, "calm")
        assert one["allocation"] is None
        assert [(row["context"], row["number"], row["weights"]) for row in one["allocations"]] == [
            ("calm", 3, wanted["weights"]),
            ("turbulent", 2, {"champion": 0.5, "challenger": 0.5}),
        ]
        assert [row["context"] for row in listed] == ["calm", "turbulent", "calm"]

    def test_are_null_where_there_are_none(self, api, owner):
        one = api.get(url(running(owner, design="assigned"))).json()

        assert one["allocation"]["context"] is None
        assert one["allocations"] == [one["allocation"]]

    @pytest.mark.parametrize(
        ("context", "says"),
        [("", "say of which, calm, turbulent"), ("calmer", "did you mean 'calm'?")],
    )
    def test_are_named_in_a_change(self, api, experiment, context, says):
        wanted = {"weights": {"champion": 0.2, "challenger": 0.8}, "context": context, **WHY}

        told = problem(api.post(url(experiment, "allocations/"), wanted, format="json"), 422)

        assert says in told["detail"]
        assert told["errors"][0]["path"] == "context"

    def test_are_told_to_units_and_kept_with_them(self, api, experiment):
        asked = {"unit": "AAPL", "attributes": {"regime": "turbulent"}}

        met = api.post(url(experiment, "assign/"), asked, format="json").json()
        again = api.post(url(experiment, "assign/"), {"unit": "AAPL"}, format="json").json()

        assert (met["context"], met["allocation"]) == ("turbulent", 2)
        assert again == met | {"is_new": False}
        listed = api.get(url(experiment, "exposures/")).json()["results"]
        assert [row["context"] for row in listed] == ["turbulent"]

    def test_filter_the_exposures(self, api, experiment):
        for unit, regime in (("AAPL", "turbulent"), ("MSFT", "calm"), ("IBM", "turbulent")):
            asked = {"unit": unit, "attributes": {"regime": regime}}
            api.post(url(experiment, "assign/"), asked, format="json")

        found = api.get(url(experiment, "exposures/?context=turbulent")).json()["results"]
        told = problem(api.get(url(experiment, "exposures/?context=turbulant")), 422)

        assert [row["unit"] for row in found] == ["IBM", "AAPL"]
        assert told["errors"][0]["path"] == "context"
        assert "did you mean 'turbulent'?" in told["detail"]

    def test_are_no_filter_where_the_plan_has_none(self, api, owner):
        other = running(owner, name="plain", design="assigned")

        told = problem(api.get(url(other, "exposures/?context=calm")), 422)

        assert "the plan of plain has none: leave it out." in told["detail"]

    def test_are_asked_for(self, api, experiment):
        told = problem(
            api.post(url(experiment, "assign/"), {"units": ["AAPL"]}, format="json"), 422
        )

        assert told["type"] == "urn:crowetrade:problem:unknown-context"
        assert told["unit"] == "AAPL"
        assert told["detail"].endswith("It is one of calm, turbulent.")


class TestNames:
    @pytest.mark.parametrize("tail", ["", "pause/"])
    def test_in_an_address_are_told_where_the_id_is(self, api, tail):
        told = problem(api.get(f"{EXPERIMENTS}small one/{tail}"), 404)

        hint = "Addresses take ids: GET /api/v1/experiments/?name=small%20one finds a name's."
        assert told["detail"].endswith(hint)

    def test_say_no_more_where_nothing_is(self, api):
        assert "ids" not in problem(api.get(f"{EXPERIMENTS}small/no-such/"), 404)["detail"]
        assert "ids" not in problem(api.get("/api/v1/nothing/small/"), 404)["detail"]

    def test_filter_the_list(self, api):
        made(api, name="small")
        made(api, name="large")

        rows = api.get(f"{EXPERIMENTS}?name=small").json()["results"]

        assert [row["name"] for row in rows] == ["small"]


class TestRecords:
    def test_list_the_exposures(self, api, owner):
        experiment = running(owner, design="assigned")
        units = [Unit(name, {}) for name in ("a", "b", "c")]
        assign_units(experiment_id=experiment.public_id, units=units, actor=owner, at=START)

        page = api.get(url(experiment, "exposures/?page_size=2")).json()

        assert [one["unit"] for one in page["results"]] == ["c", "b"]
        assert [one["unit"] for one in api.get(page["next"]).json()["results"]] == ["a"]

    def test_tell_the_sums_of_a_metric(self, api, owner):
        experiment = running(owner)
        record_outcomes(
            experiment_id=experiment.public_id, sent=of_rows(of_arms(4)), actor=owner,
            at=START + timedelta(days=1),
        )  # fmt: skip

        body = api.get(url(experiment, "statistics/?metric=return")).json()

        assert body["arms"] == ["champion", "challenger"]
        assert body["columns"]["n"] == [2, 2]
        assert body["columns"]["total"] == [0.5, 1.0]
        problem(api.get(url(experiment, "statistics/?metric=retrun")), 404)

    def test_tell_the_newest_analysis_or_one(self, api, owner):
        experiment = running(owner)
        problem(api.get(url(experiment, "analysis/")), 404)
        for number in (1, 2):
            Analysis.objects.create(
                experiment=experiment, number=number, at=timezone.now(), n_periods=number,
                findings={"n_periods": number}, decision={"verdict": "continue"},
                verdict="continue", digest="0" * 64, seconds=0.1,
            )  # fmt: skip

        assert api.get(url(experiment, "analysis/")).json()["number"] == 2
        assert api.get(url(experiment, "analysis/?number=1")).json()["findings"] == {"n_periods": 1}
        listed = api.get(url(experiment, "analyses/")).json()["results"]
        assert [one["number"] for one in listed] == [2, 1]
        told = problem(api.get(url(experiment, "analysis/?number=3")), 404)
        assert told["detail"] == f"The experiment {experiment} has no analysis 3."

    def test_say_of_one_that_is_kept_no_more_what_is(self, api, owner):
        experiment = running(owner)
        for number in (1, 3):
            Analysis.objects.create(
                experiment=experiment, number=number, at=START, n_periods=number, findings={},
                decision={}, verdict="continue", digest=str(number), seconds=0.1,
            )  # fmt: skip

        told = problem(api.get(url(experiment, "analysis/?number=2")), 404)

        assert told["detail"] == (
            f"The experiment {experiment} has no analysis 2 any more: kept are the newest 20, the "
            "last before each change of the verdict and the last of each day."
        )

    def test_are_for_readers(self, owner):
        feeder = client(owner, "experiments:feed")

        experiment = running(owner)

        for tail in ("", "exposures/", "statistics/?metric=return", "analysis/", "analyses/"):
            problem(feeder.get(url(experiment, tail)), 403)


class TestPolicyValue:
    def test_says_what_other_shares_had_made(self, api, owner):
        settings = {"policy": "thompson_normal", "refresh": "365d"}
        made = experiments.running(owner, design="assigned", allocation=settings)
        experiments.add_sums(made, experiments.returns(60, lift=0.001), allocation=1)
        jobs.analyze_experiment(experiment_id=made.public_id)

        asked = "policy-value/?share=champion:0.2&share=challenger:0.8&confidence=0.9"
        found = api.get(url(made, asked)).json()

        assert found["shares"] == {"champion": 0.2, "challenger": 0.8}
        assert found["doubly_robust"]["confidence"] == 0.9
        assert found["ips"]["lower"] < found["ips"]["estimate"] < found["ips"]["upper"]
        assert set(found["compared"]) == {"challenger"}
        assert found["not_compared"] == {}

    @pytest.mark.parametrize("query", ["", "?share=champion", "?share=champion:1&share=champion:0"])
    def test_refuses_what_are_no_shares(self, api, owner, query):
        made = running(owner, design="assigned")

        problem(api.get(url(made, f"policy-value/{query}")), 422)

    def test_is_not_there_before_an_analysis(self, api, owner):
        made = running(owner, design="assigned")

        problem(api.get(url(made, "policy-value/?share=champion:1")), 409)
