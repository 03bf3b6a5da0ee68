"""Uploads as a worker imports them."""

import threading
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from backtests import jobs, services, tasks
from backtests.jobs import imports, uploads
from backtests.lifecycle import DatasetStatus
from backtests.models import Dataset
from crowetrade_site.core import storage
from crowetrade_site.core.models import AuditEvent
from tests.factories.backtests import bars_dataset, dataset_row, write_bars

LONG_AGO = timedelta(seconds=90)


def verbs(dataset) -> list[str]:
    events = AuditEvent.objects.filter(object_id=str(dataset.public_id)).order_by("id")
    return [event.verb.removeprefix("backtests.dataset.") for event in events]


@pytest.fixture
def upload(owner, tmp_path, at):
    """Ask for the import of a file's bytes."""

    def ask(path: Path | None = None, *, name="fresh", **options) -> Dataset:
        path = path or write_bars(tmp_path / "prices.csv")
        return services.request_import(
            name=name,
            source_name=path.name,
            source_artifact=storage.put(path),
            options={"kind": "bars", "layout": "long", "currency": "USD"} | options,
            actor=owner,
            at=at,
        )

    return ask


def work(dataset) -> Dataset:
    jobs.import_dataset(dataset_id=dataset.public_id)
    return Dataset.objects.get(pk=dataset.pk)


def lose(dataset) -> None:
    """Let the worker's lease run out."""
    Dataset.objects.filter(pk=dataset.pk).update(lease_expires_at=timezone.now() - LONG_AGO)


class TestImportDataset:
    def test_makes_the_next_version(self, tiny, upload, owner):
        dataset = work(upload(name="tiny", where={"symbol": "AAA"}))

        assert (dataset.status, dataset.version) == (DatasetStatus.READY, 2)
        assert (dataset.n_rows, dataset.n_instruments) == (60, 1)
        assert verbs(dataset) == ["uploaded", "imported"]

    def test_gives_the_digest_of_a_local_import(self, upload, owner, tmp_path):
        local = bars_dataset(tmp_path, owner, name="local")

        assert work(upload()).digest == local.digest

    def test_changes_nothing_when_asked_again(self, upload):
        dataset = work(upload())
        before = Dataset.objects.values().get()

        work(dataset)

        assert Dataset.objects.values().get() == before
        assert verbs(dataset) == ["uploaded", "imported"]

    def test_leaves_no_file_behind(self, upload, settings):
        work(upload())

        assert list((settings.HOME_DIR / "work").iterdir()) == []

    def test_refuses_a_bad_file_and_keeps_the_report(self, upload, tmp_path):
        path = tmp_path / "bad.csv"
        path.write_text("date,symbol,open,high,low,close\n2024-01-02,A,10,9,11,10\n")

        dataset = work(upload(path))

        assert dataset.status == DatasetStatus.REFUSED
        assert dataset.problem["status"] == 422
        assert "report" not in dataset.problem
        assert dataset.report["findings"]
        assert verbs(dataset) == ["uploaded", "refused"]

    def test_refuses_data_that_stand_already(self, upload):
        first = work(upload())

        second = work(upload())

        assert second.status == DatasetStatus.REFUSED
        assert second.problem["detail"] == f"The same data stands already, as {first}."

    def test_ends_as_refused_when_the_upload_is_gone(self, upload, settings):
        dataset = upload()
        stored = settings.ARTIFACT_ROOT / storage.object_name(dataset.source_artifact)
        stored.unlink()

        assert work(dataset).problem["status"] == 404

    def test_stores_and_raises_what_nobody_foresaw(self, upload, monkeypatch):
        def crash(*_, **__):
            raise RuntimeError("a bug")

        monkeypatch.setattr(imports, "import_file", crash)
        dataset = upload()

        with pytest.raises(RuntimeError):
            work(dataset)

        dataset.refresh_from_db()
        assert dataset.status == DatasetStatus.REFUSED
        assert dataset.problem["title"] == "The import failed unexpectedly"
        assert dataset.problem["detail"] == "RuntimeError: a bug"

    def test_waits_for_another_attempt_when_the_database_goes_away(self, upload, monkeypatch):
        def away(*_, **__):
            raise OperationalError

        monkeypatch.setattr(imports, "import_file", away)
        dataset = upload()

        with pytest.raises(OperationalError):
            work(dataset)

        assert Dataset.objects.get().status == DatasetStatus.IMPORTING


class TestLease:
    def test_lets_no_second_worker_in(self, upload, monkeypatch):
        dataset = upload()
        Dataset.objects.update(attempt=1, lease_expires_at=timezone.now() + LONG_AGO)

        assert work(dataset).attempt == 1

    def test_once_lost_lets_the_first_attempt_write_nothing(self, upload, monkeypatch):
        register = imports._register
        dataset = upload()

        def taken_meanwhile(*given):
            lose(dataset)
            uploads._claim(dataset.public_id)
            return register(*given)

        monkeypatch.setattr(imports, "_register", taken_meanwhile)

        ended = work(dataset)

        assert (ended.status, ended.attempt, ended.version) == (DatasetStatus.IMPORTING, 2, None)
        assert verbs(dataset) == ["uploaded"]

    def test_is_renewed_by_progress(self, owner, monkeypatch):
        dataset = dataset_row(owner, status=DatasetStatus.IMPORTING)
        held = uploads._claim(dataset.public_id)
        monkeypatch.setattr(uploads, "BEAT_EVERY", timedelta(0))

        uploads._heartbeat(held)(0.5, "reading")

        dataset.refresh_from_db()
        assert dataset.lease_expires_at > held.lease_expires_at

    def test_stops_an_attempt_that_lost_it(self, owner, monkeypatch):
        dataset = dataset_row(owner, status=DatasetStatus.IMPORTING)
        held = uploads._claim(dataset.public_id)
        monkeypatch.setattr(uploads, "BEAT_EVERY", timedelta(0))
        lose(dataset)
        uploads._claim(dataset.public_id)

        with pytest.raises(uploads.LeaseLost):
            uploads._heartbeat(held)(0.5, "reading")


class TestStalledImports:
    def test_name_uploads_no_message_speaks_of(self, owner):
        silent, stale, _fresh, spoken = (
            dataset_row(owner, status=DatasetStatus.IMPORTING) for _ in range(4)
        )
        now = timezone.now()
        for row in (silent, stale, spoken):
            Dataset.objects.filter(pk=row.pk).update(created_at=now - LONG_AGO)
        Dataset.objects.filter(pk=stale.pk).update(published_at=now - LONG_AGO)
        Dataset.objects.filter(pk=spoken.pk).update(published_at=now)

        assert jobs.stalled_imports() == [silent.public_id, stale.public_id]

    def test_leave_what_a_worker_is_at(self, owner):
        dataset_row(
            owner,
            status=DatasetStatus.IMPORTING,
            published_at=timezone.now() - LONG_AGO,
            lease_expires_at=timezone.now() + LONG_AGO,
        )

        assert jobs.stalled_imports() == []

    def test_refuse_a_file_that_kills_its_workers(self, owner, settings):
        dataset = dataset_row(
            owner,
            status=DatasetStatus.IMPORTING,
            attempt=settings.RUN_MAX_ATTEMPTS,
            lease_expires_at=timezone.now() - LONG_AGO,
        )

        assert jobs.stalled_imports() == []

        dataset.refresh_from_db()
        assert dataset.status == DatasetStatus.REFUSED
        assert dataset.problem["title"] == "The worker was lost"
        assert verbs(dataset) == ["refused"]

    def test_are_published_once_in_a_while(self, owner):
        dataset = dataset_row(owner, status=DatasetStatus.IMPORTING)
        Dataset.objects.update(created_at=timezone.now() - LONG_AGO)

        tasks.reap_runs()

        dataset.refresh_from_db()
        assert dataset.published_at is not None
        assert jobs.stalled_imports() == []


class TestImportFileAs:
    def test_finds_the_same_file_again(self, owner, tmp_path):
        path = write_bars(tmp_path / "prices.csv")
        options = imports.ImportOptions.from_mapping({"kind": "bars"})
        wanted = {"path": path, "name": "n", "options": options, "actor": owner}

        first, is_fresh = imports.import_file_as(**wanted)
        second, is_fresh_again = imports.import_file_as(**wanted)

        assert (first, is_fresh, is_fresh_again) == (second, True, False)

    @pytest.mark.django_db(transaction=True)
    def test_gives_racing_imports_versions_of_their_own(self, owner, tmp_path):
        start = threading.Barrier(4)

        def race(seed):
            start.wait()
            try:
                bars_dataset(tmp_path, owner, name="raced", seed=seed)
            finally:
                connection.close()

        racers = [threading.Thread(target=race, args=(seed,)) for seed in range(4)]
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join()

        assert sorted(Dataset.objects.values_list("version", flat=True)) == [1, 2, 3, 4]
        assert AuditEvent.objects.filter(verb="backtests.dataset.imported").count() == 4
