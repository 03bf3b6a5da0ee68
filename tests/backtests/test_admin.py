"""Datasets, runs and strategies in the admin: pages for every state and role, and the actions."""

from datetime import timedelta
from html import unescape
from uuid import uuid4

import pytest
from django.contrib.messages import get_messages
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from backtests.lifecycle import DatasetStatus, RunStatus
from backtests.models import Dataset, Run
from strategies.models import Strategy
from tests.factories.accounts import account
from tests.factories.backtests import SEARCH, STRATEGY, dataset_row, run_row, study, swept
from tests.factories.strategies import frozen, stored

READERS = ["researcher", "validator", "operator", "auditor", "admin"]
SPEC = """
dataset: tiny
strategy: buy_and_hold
"""


def login(user) -> Client:
    browser = Client(raise_request_exception=True)
    browser.force_login(user)
    return browser


def page(row) -> str:
    name = f"{row._meta.app_label}_{row._meta.model_name}"
    return reverse(f"admin:{name}_change", args=[row.pk])


def press(browser, row, action, **fields):
    """Press an action's button in its dialog, as htmx does."""
    name = f"{row._meta.app_label}_{row._meta.model_name}"
    return browser.post(
        reverse(f"admin:{name}_{action}", args=[row.pk]),
        {"_form_submitted": "True"} | fields,
        headers={"HX-Request": "true"},
    )


def said(answer) -> list[str]:
    return [str(message) for message in get_messages(answer.wsgi_request)]


@pytest.fixture
def browser(owner):
    return login(owner)


@pytest.fixture
def rows(owner):
    """One row in every state."""
    dataset = dataset_row(owner)
    return [
        *(run_row(dataset, owner, status) for status in RunStatus),
        *(
            dataset_row(owner, status=status, problem={"title": "No", "detail": "Bad rows"})
            for status in DatasetStatus
        ),
        stored(owner, "draft"),
        frozen(owner, "frozen"),
    ]


@pytest.fixture
def readable(rows, monkeypatch):
    """Rows whose pages need no artefacts."""
    return [row for row in rows if getattr(row, "status", "") != RunStatus.SUCCEEDED]


class TestPages:
    @pytest.mark.parametrize("role", READERS)
    def test_open_for_every_role_and_state(self, readable, role):
        browser = login(account(role))

        for row in readable:
            assert browser.get(page(row)).status_code == 200, row

    @pytest.mark.parametrize("role", READERS)
    @pytest.mark.parametrize("name", ["backtests_run", "backtests_dataset", "strategies_strategy"])
    def test_list_rows_of_every_state(self, rows, role, name):
        answer = login(account(role)).get(reverse(f"admin:{name}_changelist"))

        assert answer.status_code == 200

    @pytest.mark.parametrize(
        "query",
        [
            "status__exact=failed", "kind__exact=backtest", "q=abc", "o=2", "o=-1.5",
            "dataset__name=none", "created_at__year=2026",
        ],
    )  # fmt: skip
    def test_filter_and_search_runs(self, rows, browser, query):
        answer = browser.get(f"{reverse('admin:backtests_run_changelist')}?{query}")

        assert answer.status_code in {200, 302}

    @pytest.mark.parametrize("role", [""])
    def test_stay_closed_without_a_role(self, rows, role):
        browser = login(account(role))

        for row in rows:
            assert browser.get(page(row)).status_code in {302, 403}

    @pytest.mark.parametrize("pk", ["999999", "abc", "1%00"])
    @pytest.mark.parametrize("name", ["backtests_run", "backtests_dataset", "strategies_strategy"])
    def test_lead_back_from_a_row_that_is_not(self, browser, name, pk):
        base = reverse(f"admin:{name}_changelist")

        assert browser.get(f"{base}{pk}/change/").status_code in {302, 404}

    def test_show_why_a_run_failed(self, rows, browser):
        run = Run.objects.get(status=RunStatus.FAILED)

        assert "It fell" in browser.get(page(run)).content.decode()

    def test_show_why_a_dataset_was_refused(self, rows, browser):
        dataset = Dataset.objects.get(status=DatasetStatus.REFUSED)

        assert "Bad rows" in browser.get(page(dataset)).content.decode()

    def test_draw_the_tear_sheet_of_a_finished_run(self, finished):
        html = login(finished.requested_by).get(page(finished)).content.decode()

        assert 'id="ct-series"' in html
        for title in ("Sharpe ratio", "Latest trades", "Latest fills", "Against the benchmark"):
            assert title in html

    @pytest.mark.parametrize(
        ("status", "found", "outcome", "said"),
        [
            ("succeeded", {"is_identical": True}, "Reproduced, identical",
             "<strong>Identical to the last bit</strong> to run"),
            ("failed", {"is_identical": False}, "Reproduced, not identical",
             "<strong>Not identical</strong> to run"),
            ("queued", None, "Reproduction queued", "Computes again run"),
        ],
    )  # fmt: skip
    def test_link_a_run_and_its_reproductions(self, finished, status, found, outcome, said):
        again = run_row(
            finished.dataset, finished.requested_by, status, kind="reproduction",
            reproduces=finished, artifacts=finished.artifacts, spec=finished.spec,
            summary=finished.summary | ({"reproduction": found} if found else {}),
        )  # fmt: skip
        browser = login(finished.requested_by)

        html = browser.get(page(finished)).content.decode()
        html_again = browser.get(page(again)).content.decode()

        assert f'<strong>{outcome}</strong>: run <a href="{page(again)}">' in html
        assert f'{said} <a href="{page(finished)}">' in html_again

    def test_open_by_the_identifier_that_the_api_gives(self, rows, browser):
        run = Run.objects.latest("pk")

        answer = browser.get(f"/admin/backtests/run/{run.public_id}/change/")

        assert (answer.status_code, answer["Location"]) == (302, page(run))
        missing = browser.get(f"/admin/backtests/run/{uuid4()}/change/")
        assert missing.status_code == 404

    def test_survive_a_corrupted_artifact(self, finished, settings):
        digest = finished.artifacts["curves.parquet"]["digest"]
        path = settings.ARTIFACT_ROOT / digest[:2] / digest[2:4] / digest
        path.chmod(0o600)
        path.write_bytes(b"x")
        browser = login(finished.requested_by)

        answer = browser.get(page(finished))

        assert answer.status_code == 200
        html = answer.content.decode()
        assert "is corrupted" in html
        assert "/live/" not in html

    def test_show_a_quality_report(self, tiny, browser):
        html = browser.get(page(tiny)).content.decode()

        assert "180 rows accepted" in html

    @pytest.mark.parametrize("role", READERS)
    def test_begin_with_an_overview(self, rows, role):
        answer = login(account(role)).get(reverse("admin:index"))

        assert answer.status_code == 200
        assert "Latest runs" in answer.content.decode()

    def test_offer_only_what_the_role_may_read(self, db):
        html = login(account("researcher")).get(reverse("admin:index")).content.decode()

        assert reverse("admin:strategies_strategy_changelist") in html
        assert reverse("admin:core_auditevent_changelist") not in html


class TestStudyPages:
    @pytest.fixture
    def swept_run(self, transactional_db, owner, tmp_path):
        return study(owner, tmp_path)

    def test_say_what_the_best_is_the_best_of(self, swept_run):
        html = login(swept_run.requested_by).get(page(swept_run)).content.decode()

        assert "Best of 12 trials (3 infeasible)" in html
        assert "12 trials were ever made on this data, 12 of this strategy family" in html
        assert html.count('<svg class="ct-drawing"') == 2
        for title in ("Leaders", "Infeasible trials", "Tear sheet of trial", "Latest trades"):
            assert title in html

    def test_hold_their_budget(self, swept_run):
        browser = login(swept_run.requested_by)

        with CaptureQueriesContext(connection) as queries:
            browser.get(page(swept_run))

        assert len(queries) <= 14

    def test_show_what_was_found_beside_what_was_lost(self, swept_run):
        problem = {"title": "Not all of it", "detail": "1 of 4 chunks was given up."}
        Run.objects.filter(pk=swept_run.pk).update(status=RunStatus.FAILED, problem=problem)

        html = login(swept_run.requested_by).get(page(swept_run)).content.decode()

        assert "1 of 4 chunks was given up." in html
        assert "Tear sheet of trial" in html
        assert "download_report" in html

    def test_show_why_a_study_that_found_nothing_failed(self, owner, browser):
        run = run_row(dataset_row(owner), owner, RunStatus.FAILED, kind="sweep")

        html = browser.get(page(run)).content.decode()

        assert "It fell" in html
        assert "download_report" not in html

    @pytest.mark.django_db(transaction=True)  # the heartbeat must see the run
    def test_say_what_became_of_a_cancelled_study(self, tiny, owner, browser, monkeypatch):
        from backtests import jobs
        from backtests.jobs import evaluation

        monkeypatch.setattr(evaluation, "MOST_TRIALS", 4)
        run = swept(owner)
        chunks = jobs.execute_run(run_id=run.public_id, worker="test")
        jobs.execute_chunk(chunk_id=chunks[0], worker="test")
        press(browser, run, "cancel", reason="enough")

        html = browser.get(page(run)).content.decode()

        assert "This sweep was cancelled after 4 of 12 trials" in html

    @pytest.mark.parametrize(
        ("address", "figure"),
        [
            ("admin:backtests_run_changelist", "0.40<br><small>best of 12 trials</small>"),
            ("admin:index", "0.40<small>best of 12 trials</small>"),
        ],
    )
    def test_lists_say_so_too(self, swept_run, address, figure):
        html = login(swept_run.requested_by).get(reverse(address)).content.decode()

        assert "sweep of moving average cross on tiny, 12 trials" in html
        assert figure in html

    def test_are_found_by_their_kind(self, rows, owner, browser):
        run_row(dataset_row(owner), owner, kind="sweep")

        html = browser.get(f"{reverse('admin:backtests_run_changelist')}?kind__exact=sweep")

        assert html.content.decode().count("sweep of moving average cross") == 1


class TestBudgets:
    @pytest.mark.parametrize("name", ["backtests_run", "backtests_dataset", "strategies_strategy"])
    def test_do_not_grow_with_the_rows(self, owner, browser, name):
        address = reverse(f"admin:{name}_changelist")
        counts = []
        for n_more in (2, 20):
            for _ in range(n_more):
                run_row(dataset_row(owner), owner)
                stored(owner, f"s{Strategy.objects.count()}")
            with CaptureQueriesContext(connection) as queries:
                browser.get(address)
            counts.append(len(queries))

        assert counts[0] == counts[1] <= 15

    def test_hold_on_a_runs_page(self, owner, browser):
        run = run_row(dataset_row(owner), owner)

        with CaptureQueriesContext(connection) as queries:
            browser.get(page(run))

        assert len(queries) <= 12

    def test_hold_on_the_page_of_a_finished_run(self, finished):
        browser = login(finished.requested_by)

        with CaptureQueriesContext(connection) as queries:
            browser.get(page(finished))

        assert len(queries) <= 12

    def test_hold_on_the_overview(self, owner, browser):
        for _ in range(10):
            run_row(dataset_row(owner), owner)

        with CaptureQueriesContext(connection) as queries:
            browser.get(reverse("admin:index"))

        assert len(queries) <= 12


class TestLive:
    @pytest.fixture
    def look(self, browser):
        def look(pk):
            return browser.get(reverse("admin:backtests_run_live", args=[pk]))

        return look

    def test_shows_the_progress_of_a_running_run(self, owner, look):
        run = run_row(
            dataset_row(owner), owner, RunStatus.RUNNING,
            phase="simulating", progress_done=30, progress_total=60,
        )  # fmt: skip

        html = look(run.pk).content.decode()

        assert "Simulating" in html
        assert "width: 50%" in html
        assert 'hx-trigger="every 2s"' in html

    @pytest.mark.django_db(transaction=True)  # the heartbeat must see the run
    def test_shows_trials_chunks_and_the_best_of_a_study(self, tiny, owner, look, monkeypatch):
        from backtests import jobs
        from backtests.jobs import evaluation

        monkeypatch.setattr(evaluation, "MOST_TRIALS", 4)
        run = swept(owner)
        chunks = jobs.execute_run(run_id=run.public_id, worker="test")
        jobs.execute_chunk(chunk_id=chunks[0], worker="test")

        html = look(run.pk).content.decode()

        assert "4 of 12 trials" in html
        assert "3 chunks: 2 queued, 1 done" in html
        assert "best of 4 trials so far" in html
        assert "signals.0.slow_bars = " in html
        assert "width: 33%" in html
        assert 'hx-trigger="every 2s"' in html

    def test_keeps_its_budget_for_a_study(self, owner, browser):
        run = run_row(
            dataset_row(owner), owner, RunStatus.RUNNING, kind="sweep", waits_for_chunks=True,
            spec={"kind": "sweep", "strategy": STRATEGY, "search": SEARCH},
        )  # fmt: skip

        with CaptureQueriesContext(connection) as queries:
            browser.get(reverse("admin:backtests_run_live", args=[run.pk]))

        assert len(queries) <= 7

    def test_says_that_a_queued_run_waits(self, owner, look):
        assert (
            "Waiting for a worker" in look(run_row(dataset_row(owner), owner).pk).content.decode()
        )

    def test_says_behind_how_many_runs_it_waits(self, owner, look):
        dataset = dataset_row(owner)
        until = timezone.now() + timedelta(seconds=60)
        run_row(dataset, owner, RunStatus.RUNNING, lease_expires_at=until)
        run = run_row(dataset, owner)

        assert "Waiting behind 1 run</strong>" in look(run.pk).content.decode()
        assert "Waiting behind 1 run</strong>" in login(owner).get(page(run)).content.decode()

    @pytest.mark.parametrize("status", ["succeeded", "failed", "cancelled"])
    def test_has_the_page_load_anew_once_over(self, owner, look, status):
        answer = look(run_row(dataset_row(owner), owner, status).pk)

        assert (answer.headers["HX-Refresh"], answer.content) == ("true", b"")

    def test_does_so_for_a_run_that_is_gone(self, look):
        assert look(999_999).headers["HX-Refresh"] == "true"

    def test_is_closed_without_a_role(self, owner):
        run = run_row(dataset_row(owner), owner)
        browser = login(account(""))

        answer = browser.get(reverse("admin:backtests_run_live", args=[run.pk]))

        assert answer.status_code == 403


class TestQueue:
    ADDRESS = "admin:backtests_run_queue"

    def submit(self, browser, text, reason="a hunch"):
        return browser.post(
            reverse(self.ADDRESS),
            {"_form_submitted": "True", "spec": text, "reason": reason},
            headers={"HX-Request": "true"},
        )

    def test_begins_with_an_example_that_runs(self, tiny, browser):
        from backtests.admin.forms import example_spec

        answer = self.submit(browser, example_spec())

        assert answer.headers["HX-Redirect"] == page(Run.objects.get())

    def test_asks_for_a_spec_first(self, tiny, browser):
        html = browser.get(reverse(self.ADDRESS)).content.decode()

        assert '<textarea name="spec"' in html
        assert not Run.objects.exists()

    def test_queues_a_run_and_opens_its_page(self, tiny, browser):
        answer = self.submit(browser, SPEC)

        run = Run.objects.get()
        assert answer.headers["HX-Redirect"] == page(run)
        assert (run.reason, run.requested_by_id) == ("a hunch", tiny.imported_by_id)
        assert said(answer) == ["The run is queued."]

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("dataset: [", "is not YAML"),
            ("just words", "must be a mapping"),
            ("a: 1\na: 2", "given twice"),
            ("", "This field is required."),
            ("{[1]: 2}", "The spec is not YAML"),
        ],
    )
    def test_shows_in_the_dialog_what_is_no_document(self, tiny, browser, text, sentence):
        answer = self.submit(browser, text)

        assert answer.status_code == 200
        assert sentence in answer.content.decode()
        assert "HX-Redirect" not in answer.headers

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            (f"{SPEC}capitol: 5", "capitol: unknown key; did you mean 'capital'?"),
            (SPEC.replace("tiny", "tyny"), "did you mean 'tiny'?"),
            (f"{SPEC}start: 1999-01-01", "is outside the data"),
        ],
    )
    def test_shows_a_refusal_beside_the_text(self, tiny, browser, text, sentence):
        answer = self.submit(browser, text)

        html = unescape(answer.content.decode())
        assert answer.status_code == 200
        assert sentence in html
        assert text.strip() in html
        assert not Run.objects.exists()

    def test_is_a_page_of_its_own_in_another_tab(self, tiny, browser):
        html = browser.get(reverse(self.ADDRESS)).content.decode()
        inside = browser.get(reverse(self.ADDRESS), headers={"HX-Request": "true"})

        assert "unfold/css/styles" in html
        assert "<title> Queue a run | CroweTrade</title>" in html
        assert reverse("admin:backtests_run_changelist") in html
        assert "<html" not in inside.content.decode()

    def test_of_another_tab_shows_its_refusal_and_queues_without_a_script(self, tiny, browser):
        fields = {"_form_submitted": "True", "reason": ""}
        refused = browser.post(reverse(self.ADDRESS), fields | {"spec": "dataset: ["})
        answer = browser.post(reverse(self.ADDRESS), fields | {"spec": SPEC})

        assert "is not YAML" in refused.content.decode()
        assert "unfold/css/styles" in refused.content.decode()
        assert (answer.status_code, answer.headers["Location"]) == (302, page(Run.objects.get()))

    @pytest.mark.parametrize("role", ["auditor"])
    def test_is_closed_to_readers(self, tiny, role):
        assert self.submit(login(account(role)), SPEC).status_code == 403
        assert not Run.objects.exists()


class TestRunActions:
    def test_queue_again_takes_the_same_spec(self, finished):
        answer = press(login(finished.requested_by), finished, "queue_again", reason="to compare")

        again = Run.objects.exclude(pk=finished.pk).get()
        assert again.spec == finished.spec
        assert answer.headers["HX-Redirect"] == page(again)

    def test_cancel_ends_a_queued_run(self, owner, browser):
        run = run_row(dataset_row(owner), owner)

        answer = press(browser, run, "cancel", reason="a typo")

        run.refresh_from_db()
        assert run.status == RunStatus.CANCELLED
        assert answer.headers["HX-Redirect"] == page(run)

    def test_cancel_leaves_who_and_why_on_the_page(self, owner, browser):
        run = run_row(dataset_row(owner), owner)

        press(browser, run, "cancel", reason="wrong dates")

        html = browser.get(page(run)).content.decode()
        assert f"<p>By {owner}: wrong dates</p>" in html
        history = html.split("<h3>History", 1)[1]
        assert "Run cancelled<br><small>status: queued → cancelled</small>" in history
        assert f"<td>{owner}</td><td>wrong dates</td>" in history

    def test_want_a_reason(self, owner, browser):
        run = run_row(dataset_row(owner), owner)

        answer = press(browser, run, "cancel", reason="")

        assert "This field is required." in answer.content.decode()
        assert Run.objects.get().status == RunStatus.QUEUED

    def test_show_a_refusal_in_the_dialog_where_what_was_typed_stays(self, owner):
        run = run_row(dataset_row(owner), owner)

        answer = press(login(account("researcher")), run, "cancel", reason="mine")

        assert answer.status_code == 200
        assert "only cancel their own" in answer.content.decode()
        assert "mine" in answer.content.decode()

    def test_refuse_to_cancel_what_is_over(self, owner, browser):
        run = run_row(dataset_row(owner), owner, RunStatus.FAILED)

        answer = press(browser, run, "cancel", reason="late")

        assert "it is final" in answer.content.decode()

    @pytest.mark.parametrize("action", ["cancel", "queue_again"])
    def test_are_closed_to_readers(self, owner, action):
        run = run_row(dataset_row(owner), owner)

        assert press(login(account("auditor")), run, action, reason="x").status_code == 403

    @pytest.mark.parametrize("action", ["cancel", "queue_again", "download_report"])
    def test_find_no_run_that_is_not(self, browser, action):
        address = reverse(f"admin:backtests_run_{action}", args=[999_999])

        answer = browser.post(address, {"_form_submitted": "True", "reason": "x"})

        assert answer.status_code == 404

    def test_download_gives_the_report(self, finished):
        browser = login(finished.requested_by)

        answer = browser.get(reverse("admin:backtests_run_download_report", args=[finished.pk]))

        assert answer["Content-Disposition"].startswith("attachment")
        assert finished.result_digest in answer.content.decode()

    @pytest.mark.parametrize("status", ["queued", "failed"])
    def test_download_without_a_result_is_a_message(self, owner, browser, status):
        run = run_row(dataset_row(owner), owner, status)

        answer = browser.get(reverse("admin:backtests_run_download_report", args=[run.pk]))

        assert (answer.status_code, answer["Location"]) == (302, page(run))
        assert "only a run that succeeded has a report" in said(answer)[0]

    OFFERED = {
        "queued": {"cancel"},
        "running": {"cancel"},
        "failed": {"queue_again"},
        "cancelled": {"queue_again"},
    }

    @pytest.mark.parametrize(("status", "offered"), OFFERED.items())
    def test_are_offered_where_they_make_sense(self, owner, browser, status, offered):
        run = run_row(dataset_row(owner), owner, status)

        html = browser.get(page(run)).content.decode()

        for action in ("cancel", "queue_again", "download_report"):
            address = reverse(f"admin:backtests_run_{action}", args=[run.pk])
            assert (address in html) == (action in offered), action

    def test_are_not_offered_to_readers(self, owner):
        run = run_row(dataset_row(owner), owner)

        html = login(account("auditor")).get(page(run)).content.decode()

        assert reverse("admin:backtests_run_cancel", args=[run.pk]) not in html


class TestDatasetActions:
    def test_quarantine_and_release(self, owner, browser):
        dataset = dataset_row(owner)

        answer = press(browser, dataset, "quarantine", reason="bad prints")
        dataset.refresh_from_db()
        assert dataset.status == DatasetStatus.QUARANTINED
        assert said(answer) == ["The dataset is quarantined now."]

        press(browser, dataset, "release", reason="they were good")
        dataset.refresh_from_db()
        assert dataset.status == DatasetStatus.READY

    def test_refuse_what_the_lifecycle_has_not(self, owner, browser):
        dataset = dataset_row(owner, status=DatasetStatus.REFUSED)

        answer = press(browser, dataset, "release", reason="please")

        assert answer.status_code == 200
        assert "cannot" in answer.content.decode()

    @pytest.mark.parametrize("role", ["auditor", "operator", "validator"])
    def test_are_closed_to_others(self, owner, role):
        dataset = dataset_row(owner)

        assert press(login(account(role)), dataset, "quarantine", reason="x").status_code == 403


class TestStrategyActions:
    def test_freeze_a_draft_once(self, owner, browser):
        strategy = stored(owner)

        first = press(browser, strategy, "freeze", reason="done")
        second = press(browser, strategy, "freeze", reason="again")

        strategy.refresh_from_db()
        assert strategy.status == "frozen"
        assert said(first) == ["The strategy is frozen."]
        assert "it is final" in second.content.decode()

    def test_offer_freezing_for_drafts_alone(self, owner, browser):
        for strategy, offered in ((stored(owner, "a"), True), (frozen(owner, "b"), False)):
            html = browser.get(page(strategy)).content.decode()
            address = reverse("admin:strategies_strategy_freeze", args=[strategy.pk])
            assert (address in html) == offered
