"""What the retention policy removes, and what it never does."""

import json
import os
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.contrib.messages import get_messages
from django.core.management import CommandError, call_command
from django.urls import reverse
from django.utils import timezone

from backtests import jobs, services
from backtests.jobs import evaluation, retention, trials
from backtests.lifecycle import RunStatus
from backtests.models import Run, TrialBatch
from crowetrade_site.core import storage
from crowetrade_site.core.errors import Forbidden, Gone, InvalidInput
from crowetrade_site.core.models import AuditEvent
from registry.services import store_file
from tests.factories.accounts import account
from tests.factories.backtests import (
    AT,
    bars_dataset,
    dataset_row,
    queued,
    run_row,
    swept,
    work_off,
)
from tests.factories.clients import client as api_client
from tests.factories.clients import problem
from tests.factories.working import verbs

pytestmark = pytest.mark.django_db(transaction=True)

LATER = timedelta(days=40)


@pytest.fixture(autouse=True)
def policy(settings):
    settings.RETENTION_DAYS = {"backtest": 30, "study": 30, "reproduction": 30, "failed": 30}
    settings.RETENTION_GRACE_SECONDS = 3600


@pytest.fixture
def data(transactional_db, owner, tmp_path, monkeypatch):
    trials._open.cache_clear()
    monkeypatch.setattr(evaluation, "MOST_TRIALS", 4)
    return bars_dataset(tmp_path, owner, n_days=120)


def prune(after: timedelta = LATER, **more) -> retention.Pruned:
    wanted = {"actor": None, "reason": ""} | more
    return jobs.prune_artifacts(at=timezone.now() + after, **wanted)


def prune_twice() -> retention.Pruned:
    prune()
    return prune(LATER + timedelta(hours=2))


def objects(run) -> set[str]:
    return retention._objects_of(Run.objects.get(pk=run.pk))


def there(digests) -> set[str]:
    return {digest for digest in digests if storage.exists(digest)}


def storing_before(take_away, path: Path, content: bytes):
    """Return what takes a file away, after somebody has stored its bytes again."""

    def taking(given, *rest, **more):
        if given == path:
            storage.put(content)
        return take_away(given, *rest, **more)

    return taking


class TestPruneArtifacts:
    def test_removes_the_files_of_an_old_run_and_keeps_its_row(self, data, owner):
        run = work_off(queued(owner))
        files = objects(run)

        prune()
        assert there(files) == files, "somebody may just have found them"
        pruned = prune(LATER + timedelta(hours=2))

        after = Run.objects.get(pk=run.pk)
        assert not there(files)
        assert pruned.removed == [run]
        assert pruned.n_objects == len(files)
        assert after.artifacts_removed_at is not None
        assert (after.summary, after.result_digest) == (run.summary, run.result_digest)
        assert after.artifacts == run.artifacts, "the row still says what they were"
        assert verbs(run)[-2:] == ["artifacts_expired", "artifacts_removed"]

    def test_says_why_in_the_trail(self, data, owner):
        run = work_off(queued(owner))
        prune()

        event = AuditEvent.objects.get(verb="backtests.run.artifacts_expired")
        assert event.actor == "system"
        assert event.reason == "retention policy: artefacts of backtests are kept 30 days"
        assert event.object_id == str(run.public_id)

    def test_passes_by_what_is_young(self, data, owner):
        work_off(queued(owner))

        assert prune(timedelta(days=29)).expired == []

    def test_removes_nothing_of_a_kind_that_is_kept_for_ever(self, data, owner, settings):
        settings.RETENTION_DAYS |= {"backtest": 0}
        work_off(queued(owner))

        assert prune().expired == []

    @pytest.mark.parametrize(
        ("rule", "status"), [("failed", RunStatus.FAILED), ("failed", RunStatus.CANCELLED)]
    )
    def test_takes_failed_and_cancelled_runs_by_their_own_rule(self, owner, rule, status):
        digest = storage.put(b"left behind")
        columns = {"artifacts": {"trials.parquet": {"digest": digest, "bytes": 11}}}
        run_row(dataset_row(owner), owner, status, finished_at=timezone.now(), **columns)

        assert [one.rule for one in prune().expired] == [rule]

    def test_removes_the_rows_of_a_study_and_no_study_takes_them_over(self, data, owner):
        first = work_off(swept(owner))
        files = objects(first)
        counted = TrialBatch.objects.count_trials()
        assert len(files) > 7

        prune()
        second = work_off(swept(owner))
        prune(timedelta(hours=2) + LATER - timedelta(days=20))

        assert set(second.chunks.values_list("is_reused", flat=True)) == {False}
        assert second.result_digest == first.result_digest
        assert TrialBatch.objects.count_trials() == counted
        assert there(objects(second)) == objects(second)

    def test_removes_the_list_of_pieces_with_its_table_but_not_from_another_study(
        self, data, owner
    ):
        first, second = work_off(swept(owner)), work_off(swept(owner))
        entry = first.artifacts["trials.parquet"]
        assert entry == second.artifacts["trials.parquet"]
        Run.objects.filter(pk=second.pk).update(is_kept=True)

        prune_twice()
        assert there({entry["digest"], entry["pieces"]}) == {entry["digest"], entry["pieces"]}

        Run.objects.filter(pk=second.pk).update(is_kept=False)
        Run.objects.filter(pk=first.pk).update(artifacts_removed_at=None)
        prune_twice()
        assert not there({entry["digest"], entry["pieces"]})

    def test_keeps_what_another_run_refers_to(self, data, owner):
        first, second = work_off(swept(owner)), work_off(swept(owner))
        assert second.chunks.filter(is_reused=True).exists()
        Run.objects.filter(pk=second.pk).update(is_kept=True)
        files = objects(second)

        pruned = prune_twice()

        assert pruned.removed == [first]
        assert there(files) == files
        assert pruned.n_shared == len(objects(first) & files)

    def test_keeps_what_a_dataset_refers_to(self, data, owner):
        digest = next(iter(data.manifest["files"].values()))
        artifacts = {"copy.npy": {"digest": digest, "bytes": 1}}
        run_row(data, owner, RunStatus.SUCCEEDED, finished_at=timezone.now(), artifacts=artifacts)

        prune_twice()

        assert storage.exists(digest)

    def test_keeps_what_a_model_refers_to(self, data, owner):
        run = work_off(queued(owner))
        shared = run.artifacts["curves.parquet"]["digest"]
        store_file(path="desk/curves", sha256=shared, n_bytes=1, actor=owner, at=AT)

        prune_twice()

        assert there(objects(run)) == {shared}

    def test_keeps_what_a_reproduction_is_compared_with(self, data, owner):
        run = work_off(queued(owner))
        again = services.reproduce_run(run_id=run.public_id, actor=owner, at=AT)

        assert prune().expired == []

        work_off(again)
        Run.objects.filter(pk=again.pk).update(is_kept=True)
        assert prune().expired == [], "the page of the reproduction names it"

    def test_keeps_what_was_just_stored_again(self, data, owner):
        run = work_off(queued(owner))
        prune(timedelta(days=40))
        Run.objects.filter(pk=run.pk).update(artifacts_expired_at=timezone.now() - LATER)

        pruned = prune(timedelta(0))  # the files themselves are younger than the grace

        assert pruned.n_objects == 0
        assert there(objects(run)) == objects(run)

    def test_keeps_what_is_stored_again_while_it_is_removed(self, data, owner, monkeypatch):
        run = work_off(queued(owner))
        prune()
        digest = run.artifacts["metrics.json"]["digest"]
        path, content = storage.locate(digest), storage.read(digest)
        for one in objects(run):
            os.utime(storage.locate(one), (0, 0))
        for verb in ("rename", "unlink"):  # whichever way it goes
            monkeypatch.setattr(Path, verb, storing_before(getattr(Path, verb), path, content))

        Run.objects.filter(pk=run.pk).update(artifacts_expired_at=timezone.now() - LATER)
        prune(timedelta(0))

        assert storage.read(digest) == content
        assert there(objects(run)) == {digest}
        assert not list(path.parent.glob("*.removed"))

    def test_judges_what_a_killed_pass_had_moved_aside(self, settings):
        stale, fresh = storage.put(b"stale"), storage.put(b"fresh")
        os.utime(storage.locate(stale), (0, 0))
        for digest in (stale, fresh):
            path = storage.locate(digest)
            path.rename(path.with_name(f"{path.name}.removed"))

        since = timezone.now() - timedelta(hours=1)
        sizes = [storage.remove_unless_renewed(digest, since) for digest in (stale, fresh)]

        assert sizes == [5, None]
        assert storage.read(fresh) == b"fresh"
        assert not storage.exists(stale)

    def test_takes_so_many_runs_a_pass_and_not_their_results(
        self, owner, monkeypatch, django_assert_num_queries
    ):
        monkeypatch.setattr(retention, "MOST_RUNS", 2)
        row = dataset_row(owner)
        for _ in range(3):
            columns = {"artifacts": {"a": {"digest": storage.put(b"x"), "bytes": 1}}}
            run_row(row, owner, RunStatus.FAILED, **columns | {"finished_at": timezone.now()})

        first, second = prune(), prune()

        assert (len(first.expired), len(second.expired)) == (2, 1)
        assert {"spec", "summary"} <= first.expired[0].run.get_deferred_fields()

    def test_only_says_what_would_go_when_dry(self, data, owner):
        run = work_off(queued(owner))

        pruned = prune(is_dry=True)

        assert [one.run for one in pruned.expired] == [run]
        run.refresh_from_db()
        assert run.artifacts_expired_at is None
        assert "artifacts_expired" not in verbs(run)

    def test_ends_the_same_when_done_twice(self, data, owner):
        work_off(queued(owner))
        prune_twice()

        assert prune(LATER + timedelta(hours=3)) == ([], [], 0, 0, 0)


class TestRemovedRun:
    @pytest.fixture
    def removed(self, data, owner):
        run = work_off(queued(owner))
        prune_twice()
        return Run.objects.with_dataset().get(pk=run.pk)

    def test_says_so_over_the_api(self, removed, owner):
        api = api_client(owner)
        address = f"/api/v1/runs/{removed.public_id}/"

        row = api.get(address).json()
        assert row["artifacts_removed_at"] is not None
        assert row["summary"]["metrics"]["sharpe"]
        for tail in ("artifacts/", "artifacts/curves.parquet/", "report/"):
            assert "reproduce" in problem(api.get(address + tail), 410)["detail"]

    def test_says_so_on_its_page(self, removed, make_user, client):
        client.force_login(make_user())

        page = client.get(f"/admin/backtests/run/{removed.pk}/change/").content.decode()

        assert "The artefacts of this run were removed" in page
        assert f"manage.py reproduce {removed.public_id}" in page

    def test_is_reproduced_from_its_spec(self, removed, owner):
        again = work_off(services.reproduce_run(run_id=removed.public_id, actor=owner, at=AT))

        assert again.status == RunStatus.SUCCEEDED, again.problem
        assert again.summary["reproduction"]["is_identical"]
        assert again.artifacts == removed.artifacts
        assert there(objects(again)) == objects(again)

    def test_says_that_it_cannot_say_where_a_reproduction_differs(self, removed, owner):
        Run.objects.filter(pk=removed.pk).update(result_digest="f" * 64)

        again = work_off(services.reproduce_run(run_id=removed.public_id, actor=owner, at=AT))

        assert again.status == RunStatus.FAILED
        assert "the removed files would say" in again.problem["detail"]

    def test_cannot_be_kept_any_more(self, removed, owner):
        with pytest.raises(Gone):
            services.keep_run(
                run_id=removed.public_id, is_kept=True, actor=owner, at=AT, reason="why"
            )


class TestKeepRun:
    @pytest.fixture
    def run(self, owner):
        return run_row(dataset_row(owner), owner, RunStatus.SUCCEEDED)

    def test_is_recorded_and_undone(self, run, owner):
        for is_kept in (True, False):
            services.keep_run(
                run_id=run.public_id, is_kept=is_kept, actor=owner, at=AT, reason="in a paper"
            )

        assert verbs(run) == ["kept", "released"]

    def test_needs_a_reason(self, run, owner):
        with pytest.raises(InvalidInput, match="why"):
            services.keep_run(run_id=run.public_id, is_kept=True, actor=owner, at=AT, reason=" ")

    def test_is_for_ones_own_runs(self, run):
        with pytest.raises(Forbidden):
            services.keep_run(
                run_id=run.public_id, is_kept=True, actor=account("researcher"), at=AT, reason="x"
            )

    def test_is_undone_by_none_but_who_did_it_or_an_operator(self, run, owner):
        def keep(actor, *, is_kept):
            return services.keep_run(
                run_id=run.public_id, is_kept=is_kept, actor=actor, at=AT, reason="evidence"
            ).is_kept

        keep(owner, is_kept=True)
        keep(account("operator"), is_kept=True)  # takes it over
        for other in (owner, account("validator")):
            with pytest.raises(Forbidden, match="operator"):
                keep(other, is_kept=False)

        assert keep(account("admin"), is_kept=False) is False
        assert keep(owner, is_kept=True)
        assert keep(owner, is_kept=False) is False

    def test_works_over_the_api(self, run, owner):
        answer = api_client(owner).post(
            f"/api/v1/runs/{run.public_id}/keep/", {"is_kept": True, "reason": "in a paper"}
        )

        assert answer.json()["is_kept"] is True

    def test_works_in_the_admin(self, run, make_user, client):
        client.force_login(make_user())
        said = {"keep": "The files are kept.", "release": "The retention policy decides"}

        for action, words in said.items():
            address = reverse(f"admin:backtests_run_{action}", args=[run.pk])
            form = {"_form_submitted": "True", "reason": "in a paper"}
            answer = client.post(address, form, headers={"HX-Request": "true"})

            *_, message = get_messages(answer.wsgi_request)
            assert words in str(message)
            run.refresh_from_db()
            assert run.is_kept is (action == "keep")
        assert verbs(run) == ["kept", "released"]
        assert AuditEvent.objects.get(verb="backtests.run.kept").reason == "in a paper"


class TestCommand:
    def test_tells_what_would_go_and_does_nothing(self, data, owner):
        run = work_off(queued(owner))
        Run.objects.filter(pk=run.pk).update(finished_at=timezone.now() - LATER)
        out = StringIO()

        call_command("prune_artifacts", "--dry-run", "--json", stdout=out)

        answer = json.loads(out.getvalue())
        assert [one["run"] for one in answer["expired"]] == [str(run.public_id)]
        assert not Run.objects.filter(artifacts_expired_at__isnull=False).exists()

    def test_acts_for_somebody_with_a_reason(self, data, owner):
        run = work_off(queued(owner))
        Run.objects.filter(pk=run.pk).update(finished_at=timezone.now() - LATER)

        call_command("prune_artifacts", "--reason", "the disk is full", stdout=StringIO())

        event = AuditEvent.objects.get(verb="backtests.run.artifacts_expired")
        assert event.actor == "console"
        assert event.reason.startswith("the disk is full")

    def test_takes_no_name_of_a_user_for_a_reason(self, db):
        with pytest.raises(CommandError, match="Say why"):
            call_command("prune_artifacts", stdout=StringIO())

    def test_is_for_operators(self, owner):
        with pytest.raises(Forbidden, match="runs:operate"):
            services.prune_artifacts(actor=owner, at=AT, reason="x")
