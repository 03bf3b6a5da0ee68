"""Fixtures of the shell's tests."""

import pytest


@pytest.fixture
def owner(db):
    """A researcher."""
    from tests.factories.accounts import account

    return account("researcher")


@pytest.fixture
def tiny(db, owner, tmp_path):
    """A real dataset: three instruments, sixty days."""
    from tests.factories.backtests import bars_dataset

    return bars_dataset(tmp_path, owner)


@pytest.fixture
def finished(transactional_db, owner, tmp_path):
    """A run on a real dataset that a worker has finished."""
    from backtests import jobs
    from backtests.models import Run
    from tests.factories.backtests import bars_dataset, queued

    dataset = bars_dataset(tmp_path, owner)
    run = queued(owner, dataset.name, costs={"commission_bps": 1, "half_spread_bps": 2})
    jobs.execute_run(run_id=run.public_id, worker="test")
    return Run.objects.with_dataset().get(pk=run.pk)


@pytest.fixture
def data(transactional_db, owner, tmp_path):
    """A real dataset of 120 days that other connections see."""
    from backtests.jobs import trials
    from tests.factories.backtests import bars_dataset

    trials._open.cache_clear()
    return bars_dataset(tmp_path, owner, n_days=120)


@pytest.fixture
def small(monkeypatch):
    """Chunks of two trials."""
    from backtests.jobs import evaluation

    monkeypatch.setattr(evaluation, "MOST_TRIALS", 2)
