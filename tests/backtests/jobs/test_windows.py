"""Folds that the data have no room for are refused before anything is queued."""

import json
from html import unescape
from io import StringIO

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from backtests import services
from backtests.jobs import windows
from backtests.models import Run
from crowetrade_site.core import storage
from crowetrade_site.core.errors import InvalidInput
from tests.factories.accounts import account
from tests.factories.backtests import AT, bars_dataset, dataset_row, queued, spec
from tests.factories.clients import client as api_client
from tests.factories.clients import problem

SEARCH = {"kind": "grid", "over": {"signals.0.fast_bars": [2, 3]}}
WALK = {"train_days": 40, "test_days": 20, "purge_days": 2}


@pytest.fixture
def data(transactional_db, owner, tmp_path):
    """A real dataset of 62 days."""
    return bars_dataset(tmp_path, owner, n_days=62)


def walked(owner, *, dataset="tiny", **more) -> Run:
    when = {name: more.pop(name) for name in ("start", "end", "instruments") if name in more}
    section = WALK | {"search": SEARCH} | more
    return queued(owner, dataset, kind="walk_forward", walk_forward=section, **when)


def crossed(owner, **more) -> Run:
    section = {"n_groups": 6, "n_test_groups": 2, "search": SEARCH} | more
    return queued(owner, kind="cross_validation", cross_validation=section)


class TestWalk:
    def test_that_just_fits_is_queued(self, data, owner):
        assert walked(owner).status == "queued"

    @pytest.mark.parametrize(
        "more", [{"test_days": 21}, {"train_days": 41}, {"purge_days": 3}, {"embargo_days": 1}]
    )
    def test_a_day_too_long_is_refused_with_both_numbers(self, data, owner, more):
        with pytest.raises(InvalidInput, match=r"are 63, but tiny v1 has 62 days with a bar;"):
            walked(owner, **more)

        assert not Run.objects.exists()

    def test_counts_the_days_that_are_asked_for(self, data, owner):
        with pytest.raises(
            InvalidInput, match=r"tiny v1 from 2024-01-02 to 2024-03-01 has 44 days"
        ):
            walked(owner, start="2024-01-02", end="2024-03-01")

    def test_counts_days_not_bars(self, transactional_db, owner, tmp_path):
        path = tmp_path / "hours.csv"
        hours = np.datetime64("2024-01-01T00", "h") + np.arange(24 * 20)
        price = 100 + np.arange(hours.size) % 7
        rows = [f"{hour}:00:00Z,A,{p},{p},{p},{p},10" for hour, p in zip(hours, price, strict=True)]
        path.write_text("ts,symbol,open,high,low,close,volume\n" + "\n".join(rows))
        call_command(
            "import_bars", str(path), "--dataset", "hours", "--currency", "USD", "--bar", "1h",
            "--stamp", "start", stdout=StringIO(),
        )  # fmt: skip

        with pytest.raises(InvalidInput, match=r"are 22, but hours v1 has 20 days with a bar"):
            walked(owner, dataset="hours", train_days=15, test_days=5)
        assert walked(owner, dataset="hours", train_days=13, test_days=5).status == "queued"


class TestGroups:
    def test_that_fit_are_queued(self, data, owner):
        assert crossed(owner).status == "queued"

    def test_more_than_bars_are_refused_with_both_numbers(self, transactional_db, owner, tmp_path):
        bars_dataset(tmp_path, owner, n_days=12)

        with pytest.raises(InvalidInput, match=r"15 groups need as many bars, but tiny v1 has 12;"):
            crossed(owner, n_groups=15)

    def test_with_gaps_that_leave_no_training_are_refused(self, data, owner):
        with pytest.raises(InvalidInput, match=r"no row to train on: .*62 bars on 62 days"):
            crossed(owner, purge_days=40)

    def test_that_are_all_tested_are_refused(self, data, owner):
        with pytest.raises(InvalidInput, match=r"Of 2 groups 2 cannot all be tested"):
            crossed(owner, n_groups=2)

    def test_that_make_too_many_splits_to_look_at_are_left_to_the_worker(
        self, data, owner, monkeypatch
    ):
        monkeypatch.setattr(windows, "MOST_SPLITS", 10)

        assert crossed(owner, purge_days=40).status == "queued"


class TestEverywhere:
    DOCUMENT = spec(kind="walk_forward", walk_forward=WALK | {"train_days": 400, "search": SEARCH})
    SENTENCE = (
        "walk_forward: 400 days to train, 2 between them and 20 to test are 422, but tiny v1 has "
        "62 days with a bar; shorten them, or take more data."
    )

    def test_is_the_same_over_the_api(self, data, owner):
        api = api_client(owner)

        for address in ("/api/v1/runs/", "/api/v1/runs/estimate/"):
            answer = problem(api.post(address, {"spec": self.DOCUMENT}), 422)
            assert answer["detail"] == self.SENTENCE
            assert answer["errors"][0]["path"] == "spec.walk_forward"

    def test_is_the_same_on_the_command_line(self, data, owner, tmp_path):
        path = tmp_path / "walk.json"
        path.write_text(json.dumps(self.DOCUMENT))
        account("admin")

        with pytest.raises(CommandError) as refusal:
            call_command("run", str(path), "--actor", owner.username, stdout=StringIO())

        assert str(refusal.value) == self.SENTENCE

    def test_is_the_same_in_the_admin(self, data, make_user, client):
        client.force_login(make_user())

        answer = client.post(
            reverse("admin:backtests_run_queue"),
            {"_form_submitted": "True", "spec": json.dumps(self.DOCUMENT), "reason": ""},
            headers={"HX-Request": "true"},
        )

        assert self.SENTENCE in unescape(answer.content.decode())
        assert not Run.objects.exists()

    def test_is_the_same_for_an_estimate(self, data, owner):
        with pytest.raises(InvalidInput) as refusal:
            services.estimate_run(document=self.DOCUMENT, actor=owner)

        assert refusal.value.detail == self.SENTENCE


class TestWhereNobodyCanTell:
    def test_a_row_without_stamps_is_left_to_the_worker(self, db, owner):
        dataset = dataset_row(owner, name="bare", currency="USD", first_at=AT, last_at=AT)

        assert walked(owner, dataset=dataset.name).status == "queued"

    def test_a_store_that_lost_the_stamps_is_left_to_the_worker(self, data, owner):
        storage.remove(data.manifest["content"]["fields"]["ts"]["sha256"])

        assert walked(owner, train_days=400).status == "queued"

    def test_more_stamps_than_a_request_reads_are_left_to_the_worker(
        self, data, owner, monkeypatch
    ):
        monkeypatch.setattr(windows, "MOST_BYTES", 100)

        assert walked(owner, train_days=400).status == "queued"
