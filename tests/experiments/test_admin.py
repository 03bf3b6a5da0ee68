"""Experiments in the admin: who sees what, what is offered, and what each button does."""

from datetime import timedelta

import numpy as np
import pytest
from django.test import Client
from django.urls import reverse

from crowetrade_site.core.services import console_user
from experiments import jobs, services
from experiments.lifecycle import ExperimentStatus
from experiments.models import Experiment, Tally
from experiments.selectors import get_board
from tests.factories.accounts import account
from tests.factories.experiments import AT, add_sums, alike, draft, returns, running

pytestmark = pytest.mark.django_db(transaction=True)
PLAN = """
name: by-hand
hypothesis: It earns more.
arms: [{name: a, control: true}, {name: b}]
metrics: [{name: return, role: primary}]
analysis: {horizon_periods: 100}
"""


def login(user) -> Client:
    browser = Client()
    browser.force_login(user)
    return browser


@pytest.fixture
def owner():
    return account()


@pytest.fixture
def browser(owner):
    return login(owner)


def page(row) -> str:
    return reverse("admin:experiments_experiment_change", args=[row.pk])


def press(browser, action, row=None, **fields):
    name = f"admin:experiments_experiment_{action}"
    path = reverse(name, args=[row.pk] if row else [])
    return browser.post(path, {"_form_submitted": "True"} | fields, headers={"HX-Request": "true"})


class TestPages:
    @pytest.mark.parametrize("role", ["researcher", "validator", "operator", "auditor", "admin"])
    def test_are_for_every_role(self, owner, role):
        made = draft(owner)

        answer = login(account(role)).get(page(made))

        assert answer.status_code == 200

    def test_are_for_nobody_without_a_role(self, owner):
        assert login(account("")).get(page(draft(owner))).status_code == 403

    def test_show_the_board_and_renew_it(self, owner, browser):
        made = running(owner)
        add_sums(made, returns(60))
        jobs.analyze_experiment(experiment_id=made.public_id)

        whole = browser.get(page(made)).content.decode()
        part = browser.get(reverse("admin:experiments_experiment_live", args=[made.pk]))

        assert "60 of 100 planned periods" in whole
        assert 'class="ct-curve"' in whole
        assert "60 of 100 planned periods" in part.content.decode()

    def test_say_what_came_after_the_plan_apart(self, owner, browser):
        made = running(owner)
        add_sums(made, returns(130))
        jobs.analyze_experiment(experiment_id=made.public_id)

        whole = browser.get(page(made)).content.decode()

        assert "all 100 planned periods of 1d, and 30 after them" in whole
        note = "The 30 after them are in the figures of arms alone."
        assert note in whole
        report = reverse("admin:experiments_experiment_report", args=[made.pk])
        assert note in browser.get(report).content.decode()

    def test_say_when_the_first_interval_comes_where_none_is_drawn(self, owner, browser):
        made = running(owner)
        add_sums(made, returns(8))
        jobs.analyze_experiment(experiment_id=made.public_id)

        whole = browser.get(page(made)).content.decode()

        said = "No interval yet: 8 of the 40 periods that the first one takes have been compared."
        assert f"challenger: {said}" in whole
        assert "difference from champion" not in whole
        day = AT + timedelta(days=40)
        seen = AT + timedelta(days=8)
        over = f"It could have come at {day:%Y-%m-%d} 00:00 UTC, but what was analyzed last ends at"
        assert f"{said} {over} {seen:%Y-%m-%d} 00:00 UTC." in whole
        assert "plausibility" not in whole
        assert "ct-figure" not in whole  # an estimate alone would be read as an answer

    def test_say_so_before_anything_was_analyzed(self, owner, browser):
        whole = browser.get(page(running(owner))).content.decode()

        assert "No interval yet: 0 of the 40 periods that the first one takes" in whole

    def test_say_what_is_counted(self, owner, browser):
        made = running(owner, design="assigned")
        add_sums(made, returns(60))
        Tally.objects.create(experiment=made, reason="accepted", shard=0, n=1_200)
        jobs.analyze_experiment(experiment_id=made.public_id)

        board = get_board(made)

        assert board.tallies == [("taken, each metric's by itself", "1,200")]
        whole = browser.get(page(made)).content.decode()
        assert "Units: those that met the arm, whether they report or not." in whole

    def test_set_figures_beside_a_lone_drawing(self, owner, browser):
        guarded = [
            {"name": "return", "role": "primary"},
            {"name": "loss", "role": "guardrail", "margin": 1.0},
        ]
        made = running(owner, metrics=guarded)
        for name in ("return", "loss"):
            add_sums(made, returns(60), metric=name)
        jobs.analyze_experiment(experiment_id=made.public_id)

        primary, lone = get_board(made).cards

        assert [name for name, _ in primary.drawings] == ["return", "posterior"]
        assert [name for name, _ in lone.drawings] == ["loss"]
        whole = browser.get(page(made)).content.decode()
        assert whole.count("<td>Guardrail</td>") == 1

    def test_write_differences_of_proportions_in_points(self, owner, browser):
        made = running(owner, metrics=[{"name": "filled", "role": "primary", "kind": "proportion"}])
        filled = np.random.default_rng(0).integers(0, 2, (60, 2))
        add_sums(made, filled, metric="filled")
        jobs.analyze_experiment(experiment_id=made.public_id)

        card = get_board(made).cards[0]

        assert card.rows[0].estimate.endswith(" pp")
        assert card.rows[0].interval.count(" pp") == 2
        assert " pp</text>" in card.drawing.marks

    def test_tell_in_which_context_shares_were_changed(self, owner, browser):
        context = {"attribute": "regime", "values": ["calm", "turbulent"]}
        made = running(owner, design="assigned", allocation={"context": context})
        services.reallocate(
            experiment_id=made.public_id, weights={"champion": 0.3, "challenger": 0.7},
            context="turbulent", reason="a look", actor=owner, at=AT,
        )  # fmt: skip

        report = reverse("admin:experiments_experiment_report", args=[made.pk])
        for address in (page(made), report):
            history = browser.get(address).content.decode().split("<h3>History", 1)[1]
            assert "<small>context: turbulent</small>" in history
            assert "challenger 0.5, champion 0.5 → challenger 0.7, champion 0.3" in history

    def test_stop_renewing_once_it_is_over(self, owner, browser):
        made = running(owner)
        add_sums(made, returns(60, lift=0.003))
        jobs.analyze_experiment(experiment_id=made.public_id)

        answer = browser.get(reverse("admin:experiments_experiment_live", args=[made.pk]))

        assert answer.headers["HX-Refresh"] == "true"

    def test_are_found_by_the_public_name(self, owner, browser):
        made = draft(owner)

        answer = browser.get(reverse("admin:experiments_experiment_change", args=[made.public_id]))

        assert answer.headers["Location"] == page(made)

    def test_escape_what_people_write(self, owner, browser):
        made = running(owner, hypothesis="<script>alert(1)</script>")

        for path in (page(made), reverse("admin:experiments_experiment_report", args=[made.pk])):
            assert "<script>alert(1)" not in browser.get(path).content.decode()

    def test_have_no_report_of_a_draft(self, owner, browser):
        answer = browser.get(reverse("admin:experiments_experiment_report", args=[draft(owner).pk]))

        assert answer.status_code == 302


class TestOverview:
    def test_shows_what_is_at_work_and_what_was_said_last(self, owner, browser):
        at_work, unseen = running(owner, name="at-work"), running(owner, name="unseen")
        draft(owner, name="a-draft")
        add_sums(at_work, returns(8))
        jobs.analyze_experiment(experiment_id=at_work.public_id)

        overview = browser.get(reverse("admin:index"))

        said = get_board(at_work).analysis.decision["reason"]
        assert overview.context["experiments"] == [(unseen, ""), (at_work, said)]
        html = overview.content.decode()
        assert said in html
        assert "Nobody has looked yet." in html
        assert "a-draft" not in html

    def test_says_whose_analysis_fails(self, owner, browser):
        failing = running(owner)
        failing.analysis_problem = {"title": "Broken", "detail": "The sums do not fit."}
        failing.save()

        html = browser.get(reverse("admin:index")).content.decode()

        assert "Broken: The sums do not fit." in html
        assert "Nobody has looked yet." not in html
        whole = browser.get(page(failing)).content.decode()
        assert "It cannot be analyzed; why is said below." in whole
        assert "<strong>Broken</strong><p>The sums do not fit.</p>" in whole
        assert "No interval yet" not in whole

    def test_is_the_same_few_queries_however_many_are(
        self, owner, browser, django_assert_max_num_queries
    ):
        for _ in range(6):
            add_sums(made := running(owner), returns(8))
            jobs.analyze_experiment(experiment_id=made.public_id)
        browser.get(reverse("admin:index"))

        with django_assert_max_num_queries(16):
            browser.get(reverse("admin:index"))


class TestBudgets:
    def test_hold_on_list_and_page(self, owner, browser, django_assert_max_num_queries):
        rows = [running(owner) for _ in range(8)]
        add_sums(rows[0], returns(60))
        jobs.analyze_experiment(experiment_id=rows[0].public_id)
        browser.get(page(rows[1]))  # what a first request of the process asks once

        with django_assert_max_num_queries(12):
            browser.get(reverse("admin:experiments_experiment_changelist"))
        with django_assert_max_num_queries(18):
            browser.get(page(rows[0]))


class TestSameArms:
    def test_are_warned_of_and_start_where_the_box_is_ticked(self, owner, browser):
        made = alike(owner)
        start = "start"

        assert "The arms a and b are the same files" in browser.get(page(made)).content.decode()
        refused = press(browser, start, made, reason="go").content.decode()
        assert "name another version, or tick the box below." in refused
        assert "These arms are the same on purpose: an A/A test" in refused
        press(browser, start, made, reason="go", allow_same_arms="on")
        made.refresh_from_db()
        assert made.status == ExperimentStatus.RUNNING

    def test_alone_are_asked_for(self, owner, browser):
        asked = press(browser, "start", draft(owner)).content.decode()

        assert "A/A test" not in asked


class TestActions:
    def test_keep_a_plan_as_a_draft(self, browser):
        press(browser, "write_plan", plan=PLAN)

        assert Experiment.objects.get(name="by-hand").status == ExperimentStatus.DRAFT

    def test_show_a_refusal_beside_the_text(self, browser):
        answer = press(browser, "write_plan", plan=PLAN.replace("control: true", "control: false"))

        assert "exactly one arm is the control" in answer.content.decode()
        assert "by-hand" in answer.content.decode()

    def test_move_an_experiment_through_its_life(self, owner, browser):
        made = draft(owner)
        steps = [
            ("start", {}, "running"), ("pause", {}, "paused"), ("resume", {}, "running"),
            ("conclude", {"verdict": "winner", "winner": "challenger"}, "concluded"),
            ("archive", {}, "archived"),
        ]  # fmt: skip

        for action, fields, expected in steps:
            press(browser, action, made, reason="r", **fields)
            assert Experiment.objects.get(pk=made.pk).status == expected

    def test_revise_a_draft(self, owner, browser):
        made = draft(owner)

        press(browser, "revise", made, plan=PLAN)

        assert Experiment.objects.get(pk=made.pk).name == "by-hand"

    def test_change_shares(self, owner, browser):
        made = running(owner, design="assigned")

        press(browser, "allocate", made, weights="{champion: 0.3, challenger: 0.7}", reason="r")

        assert made.allocations.order_by("-number").first().weights == [0.3, 0.7]

    def test_change_shares_of_one_context(self, owner, browser):
        context = {"attribute": "regime", "values": ["calm", "turbulent"]}
        made = running(owner, design="assigned", allocation={"context": context})

        press(
            browser, "allocate", made, weights="{champion: 0.3, challenger: 0.7}", reason="r",
            context="turbulent",
        )  # fmt: skip
        shown = browser.get(page(made)).content.decode()

        newest = made.allocations.order_by("-number").first()
        assert (newest.number, newest.context, newest.weights) == (3, "turbulent", [0.3, 0.7])
        assert "it makes no winner" in shown
        assert shown.count("70.0 %") == 1

    @pytest.mark.parametrize(
        ("status", "expected"),
        [
            ("draft", {"start", "revise", "archive"}),
            ("running", {"pause", "conclude", "report"}),
        ],
    )
    def test_are_offered_where_they_make_sense(self, owner, browser, status, expected):
        made = draft(owner) if status == "draft" else running(owner)

        shown = browser.get(page(made)).content.decode()

        every = ("start", "pause", "resume", "allocate", "conclude", "revise", "archive", "report")
        offered = {
            action for action in every
            if reverse(f"admin:experiments_experiment_{action}", args=[made.pk]) in shown
        }  # fmt: skip
        assert offered == expected

    @pytest.mark.parametrize(
        ("role", "expected"),
        [
            ("researcher", {"report"}),
            ("operator", {"pause", "conclude", "allocate", "report"}),
            ("admin", {"pause", "conclude", "allocate", "report"}),
        ],
    )
    def test_are_offered_to_those_whom_the_service_lets(self, owner, role, expected):
        made = running(owner, design="assigned")

        shown = login(account(role)).get(page(made)).content.decode()

        offered = {
            action for action in ("pause", "conclude", "allocate", "report")
            if reverse(f"admin:experiments_experiment_{action}", args=[made.pk]) in shown
        }  # fmt: skip
        assert offered == expected

    def test_let_an_operator_pause_what_the_console_started(self):
        made = running(console_user())

        press(login(account("operator")), "pause", made, reason="a look")

        assert Experiment.objects.get(pk=made.pk).status == ExperimentStatus.PAUSED

    def test_are_not_offered_to_who_only_looks(self, owner):
        made = draft(owner)

        shown = login(account("auditor")).get(page(made)).content.decode()

        assert reverse("admin:experiments_experiment_start", args=[made.pk]) not in shown
