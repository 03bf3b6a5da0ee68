"""What people and clients may ask of datasets, and each refusal."""

from uuid import uuid4

import pytest

from backtests import services
from backtests.lifecycle import DatasetStatus
from backtests.models import Dataset
from crowetrade_site.core.errors import (
    DuplicateRequest,
    Forbidden,
    IllegalTransition,
    InvalidInput,
    NotFound,
)
from tests.factories.accounts import account
from tests.factories.backtests import dataset_row, spec
from tests.factories.working import trail


class TestMoveDataset:
    @pytest.fixture
    def move(self, owner, at):
        def ask(dataset, to, actor=owner, reason="bad prints"):
            return services.move_dataset(
                dataset_id=dataset.public_id, to=to, actor=actor, at=at, reason=reason
            )

        return ask

    def test_goes_out_of_use_and_back(self, owner, move):
        dataset = dataset_row(owner)

        assert move(dataset, DatasetStatus.QUARANTINED).status == DatasetStatus.QUARANTINED
        assert move(dataset, DatasetStatus.READY).status == DatasetStatus.READY
        assert [(verb, entry["reason"]) for verb, entry in trail(dataset)] == [
            ("backtests.dataset.quarantined", "bad prints"),
            ("backtests.dataset.released", "bad prints"),
        ]

    ALLOWED = {("ready", "quarantined"), ("quarantined", "ready")}

    @pytest.mark.parametrize("current", list(DatasetStatus))
    @pytest.mark.parametrize("target", list(DatasetStatus))
    def test_refuses_every_other_move(self, owner, move, current, target):
        if (current, target) in self.ALLOWED:
            return
        dataset = dataset_row(owner, status=current)

        with pytest.raises(IllegalTransition):
            move(dataset, target)

        dataset.refresh_from_db()
        assert dataset.status == current
        assert trail(dataset) == []

    def test_wants_a_reason(self, owner, move):
        with pytest.raises(InvalidInput, match="Say why"):
            move(dataset_row(owner), DatasetStatus.QUARANTINED, reason="  ")

    @pytest.mark.parametrize("role", ["auditor", "operator", "validator"])
    def test_refuses_a_role_without_the_right(self, owner, move, role):
        with pytest.raises(Forbidden):
            move(dataset_row(owner), DatasetStatus.QUARANTINED, actor=account(role))

    def test_finds_no_unknown_dataset(self, owner, at):
        with pytest.raises(NotFound):
            services.move_dataset(
                dataset_id=uuid4(), to=DatasetStatus.READY, actor=owner, at=at, reason="x"
            )


class TestRequestImport:
    @pytest.fixture
    def ask(self, owner, at):
        def ask(actor=owner, **changes):
            request = {
                "name": "new",
                "source_name": "new.csv",
                "source_artifact": "c" * 64,
                "options": {"kind": "bars"},
            }
            return services.request_import(**request | changes, actor=actor, at=at)

        return ask

    def test_queues_a_row_that_waits(self, ask, owner, django_capture_on_commit_callbacks):
        with django_capture_on_commit_callbacks(execute=True):
            dataset = ask()

        dataset.refresh_from_db()
        assert dataset.status == DatasetStatus.IMPORTING
        assert dataset.version is None
        assert dataset.published_at is not None
        assert dataset.options["kind"] == "bars"
        assert dataset.options["delimiter"] == ""
        ((verb, entry),) = trail(dataset)
        assert (verb, entry["actor"]) == ("backtests.dataset.uploaded", owner.username)

    @pytest.mark.parametrize(
        ("changes", "sentence"),
        [
            ({"name": "no slug"}, "is no dataset name"),
            ({"name": "x" * 81}, "is no dataset name"),
            ({"name": ""}, "is no dataset name"),
            ({"options": {"kidn": "bars"}}, "kidn: unknown key; did you mean 'kind'?"),
            ({"options": {"kind": "candles"}}, "kind='candles' is not one of"),
            ({"options": {"bar": 5}}, "bar: "),
            ({"options": {"batch_rows": "many"}}, "batch_rows: "),
            ({"options": {"columns": ["a"]}}, "columns: "),
            ({"options": {"columns": {"close": 5}}}, "columns.close: "),
            ({"options": {"accept": "abc"}}, "accept: "),
            ({"options": {"symbol": "A\0B"}}, "holds a NUL character"),
            ({"options": {"where": {"a\0": "x"}}}, "holds a NUL character"),
        ],
    )
    def test_refuses_what_is_wrong(self, ask, changes, sentence):
        with pytest.raises(InvalidInput) as refusal:
            ask(**changes)

        assert sentence in refusal.value.detail
        assert not Dataset.objects.exists()

    def test_takes_a_tab_as_delimiter(self, ask):
        assert ask(options={"delimiter": "\t"}).options["delimiter"] == "\t"

    def test_makes_one_row_of_two_requests_with_one_key(self, ask):
        assert ask(idempotency_key="k") == ask(idempotency_key="k")

        with pytest.raises(DuplicateRequest):
            ask(idempotency_key="k", name="other")

    def test_does_not_take_the_key_of_a_run(self, ask, tiny, owner, at):
        services.queue_run(document=spec(), actor=owner, at=at, idempotency_key="k")

        with pytest.raises(DuplicateRequest):
            ask(idempotency_key="k")

    @pytest.mark.parametrize("role", ["auditor", "operator", "validator"])
    def test_refuses_a_role_without_the_right(self, ask, role):
        with pytest.raises(Forbidden):
            ask(actor=account(role))
