"""What people and clients may ask of datasets and runs, and each refusal."""

import re
from uuid import uuid4

import pytest
from kombu.exceptions import OperationalError

from backtests import services, tasks
from backtests.lifecycle import DatasetStatus, RunStatus
from backtests.models import Dataset, Run
from crowetrade_site.core import canonical
from crowetrade_site.core.errors import (
    DuplicateRequest,
    Forbidden,
    IllegalTransition,
    InvalidInput,
    NotFound,
)
from crowetrade_site.core.models import AuditEvent
from tests.factories.accounts import account
from tests.factories.backtests import (
    STRATEGY,
    bars_dataset,
    dataset_row,
    queued,
    quotes_dataset,
    run_row,
    spec,
)
from tests.factories.working import trail


@pytest.fixture
def queue(owner, at):
    def ask(**more):
        return services.queue_run(document=spec(**more), actor=owner, at=at)

    return ask


class TestQueueRun:
    def test_pins_defaults_and_dataset(self, tiny, queue):
        run = queue()

        assert run.status == RunStatus.QUEUED
        assert run.spec["dataset"] == f"tiny@sha256:{tiny.digest}"
        assert run.spec["capital"] == 1_000_000.0
        assert run.spec["costs"]["half_spread_bps"] == 0.0
        assert run.spec["strategy"]["signals"][0]["direction"] == "long_flat"
        assert run.spec_digest == canonical.digest(run.spec)

    def test_can_read_back_what_it_pinned(self, tiny, owner, at, queue):
        first = queue(benchmark="tiny/AAA")

        again = services.queue_run(document=first.spec, actor=owner, at=at)

        assert again.spec == first.spec
        assert again.spec_digest == first.spec_digest

    def test_writes_one_audit_entry(self, tiny, owner, queue):
        run = queue()

        ((verb, entry),) = trail(run)
        assert verb == "backtests.run.queued"
        assert entry["actor"] == owner.username
        assert entry["after"] == {
            "status": "queued", "spec_digest": run.spec_digest, "dataset_digest": tiny.digest,
            "priority": "normal",
        }  # fmt: skip

    def test_publishes_after_the_commit(self, tiny, queue, django_capture_on_commit_callbacks):
        with django_capture_on_commit_callbacks(execute=True):
            run = queue()
            assert run.published_at is None

        run.refresh_from_db()
        assert run.published_at is not None

    def test_survives_a_broker_that_is_away(
        self, tiny, queue, monkeypatch, django_capture_on_commit_callbacks
    ):
        def away(**_):
            raise OperationalError

        monkeypatch.setattr(tasks.execute_run, "delay", away)

        with django_capture_on_commit_callbacks(execute=True):
            run = queue()

        run.refresh_from_db()
        assert (run.status, run.published_at) == (RunStatus.QUEUED, None)

    def test_takes_the_newest_ready_version(self, tiny, owner, queue, tmp_path):
        newer = bars_dataset(tmp_path, owner, n_days=61)

        assert queue().dataset == newer
        assert queue(dataset=f"tiny@sha256:{tiny.digest[:12]}").dataset == tiny

    def test_takes_a_builtin_strategy_by_name(self, tiny, queue):
        run = queue(strategy="buy_and_hold")

        assert run.spec["strategy"]["signals"] == [{"kind": "buy_and_hold"}]


def _bad_signal(**signal):
    return {"signals": [signal], "portfolio": STRATEGY["portfolio"]}


MOMENTUM = {"kind": "momentum"}
REFUSED = {
    "unknown key": ({"capitol": 1}, "capitol: unknown key; did you mean 'capital'?", "capitol"),
    "nested unknown key": (
        {"costs": {"comission_bps": 1}},
        "costs.comission_bps: unknown key; did you mean 'commission_bps'?",
        "costs.comission_bps",
    ),
    "unknown key of a signal": (
        {"strategy": _bad_signal(**MOMENTUM, lookbak_days=3)},
        "strategy.signals.0.lookbak_days: unknown key; did you mean 'lookback_days'?",
        "strategy.signals.0.lookbak_days",
    ),
    "unknown signal": (
        {"strategy": _bad_signal(kind="momentun")}, "'momentun' is not one of 'buy_and_hold'",
        "strategy.signals.0",
    ),
    "signal that contradicts itself": (
        {"strategy": _bad_signal(**MOMENTUM, lookback_days=5, skip_days=9)},
        "must be smaller than lookback_days (5)", "strategy.signals.0",
    ),
    "value out of range": ({"capital": 0}, "capital: Input should be greater than 0", "capital"),
    "not a number": ({"capital": float("nan")}, "capital: ", "capital"),
    "start after end": (
        {"start": "2024-02-01", "end": "2024-01-10"}, "start 2024-02-01 is after end", ""
    ),
    "no date": ({"start": "yesterday"}, "start: ", "start"),
    "before the data": ({"start": "2023-12-31"}, "start 2023-12-31 is outside the data", "start"),
    "behind the data": ({"end": "2030-01-01"}, "end 2030-01-01 is outside the data", "end"),
    "instrument twice": (
        {"instruments": ["AAA", "AAA"]}, "instruments names 'AAA' twice", ""
    ),
    "no instrument": ({"instruments": []}, "instruments is empty", ""),
    "unknown key of an impact": (
        {"costs": {"impact": {"kind": "sqrt", "Y": 1}}}, "costs.impact.Y: unknown key",
        "costs.impact.Y",
    ),
    "control character": ({"dataset": "ti\0ny"}, "holds a NUL character", "dataset"),
    "lone surrogate": ({"dataset": "ti\ud800ny"}, "half a surrogate", "dataset"),
}  # fmt: skip


class TestQueueRunRefuses:
    @pytest.mark.parametrize(("more", "sentence", "path"), REFUSED.values(), ids=list(REFUSED))
    def test_a_wrong_spec(self, tiny, queue, more, sentence, path):
        with pytest.raises(InvalidInput) as refusal:
            queue(**more)

        assert sentence in refusal.value.detail
        if errors := refusal.value.extensions.get("errors"):
            assert errors[0]["path"] == path
        assert not Run.objects.exists()
        assert not AuditEvent.objects.filter(verb__startswith="backtests.run").exists()

    def test_an_unknown_instrument(self, tiny, queue):
        with pytest.raises(InvalidInput, match="no instrument 'AAB'; did you mean 'AAA'"):
            queue(instruments=["AAB"])

    def test_an_unknown_instrument_among_given_weights(self, tiny, queue):
        portfolio = {"kind": "given_weights", "weights": {"AAX": 0.5}}

        with pytest.raises(InvalidInput, match="no instrument 'AAX'; did you mean"):
            queue(strategy=STRATEGY | {"portfolio": portfolio})

    def test_weights_of_an_instrument_left_out(self, tiny, queue):
        portfolio = {"kind": "given_weights", "weights": {"AAA": 0.5}}

        with pytest.raises(InvalidInput, match="'AAA' a weight, but instruments leaves it out"):
            queue(strategy=STRATEGY | {"portfolio": portfolio}, instruments=["BBB"])

    def test_an_unknown_dataset_naming_the_nearest(self, tiny, queue):
        with pytest.raises(NotFound, match=re.escape("no dataset 'tyny'; did you mean 'tiny'?")):
            queue(dataset="tyny")

    def test_any_dataset_while_there_is_none(self, queue):
        with pytest.raises(NotFound, match=re.escape("import one with: manage.py import_bars")):
            queue(dataset="tiny")

    def test_an_unknown_strategy_naming_the_nearest(self, tiny, queue):
        with pytest.raises(NotFound, match="'buy_and_hole'; did you mean 'buy_and_hold'"):
            queue(strategy="buy_and_hole")

    def test_another_currency(self, tiny, queue):
        with pytest.raises(InvalidInput, match="priced in USD; write currency: USD"):
            queue(currency="EUR")

    @pytest.mark.parametrize("kind", ["trades", "reference"])
    def test_a_dataset_without_bars(self, owner, queue, kind):
        dataset_row(owner, name="ticks", kind=kind)

        with pytest.raises(InvalidInput, match=f"holds {kind}; a backtest needs bars or quotes"):
            queue(dataset="ticks")

    @pytest.mark.parametrize(
        ("more", "path"),
        [
            ({"fills": {"max_participation": 0.1}}, "fills.max_participation"),
            ({"costs": {"impact": {"kind": "sqrt"}}}, "costs.impact"),
            ({"costs": {"half_spread_bps": "corwin_schultz"}}, "costs.half_spread_bps"),
        ],
    )
    def test_what_needs_a_column_that_the_data_lack(self, owner, tmp_path, queue, more, path):
        quotes_dataset(tmp_path, owner)

        with pytest.raises(
            InvalidInput, match=f"{path} needs .* and dataset ticks v1 has no"
        ) as no:
            queue(dataset="ticks", **more)

        assert no.value.extensions["errors"][0]["path"] == path

    def test_a_benchmark_without_bars(self, tiny, owner, queue):
        dataset_row(owner, name="rates", kind="reference")

        with pytest.raises(InvalidInput, match="holds reference; a benchmark needs bars"):
            queue(benchmark="rates/AAA")

    @pytest.mark.parametrize(
        ("benchmark", "sentence"),
        [
            ("tiny", "several series, name one as dataset/SYMBOL"),
            ("tiny/ZZZ", "no series 'ZZZ'; there are: AAA, BBB, CCC"),
        ],
    )
    def test_a_benchmark_that_names_no_series(self, tiny, queue, benchmark, sentence):
        with pytest.raises(InvalidInput, match=sentence):
            queue(benchmark=benchmark)

    def test_a_quarantined_version_pinned_by_digest(self, tiny, queue):
        Dataset.objects.update(status=DatasetStatus.QUARANTINED)

        with pytest.raises(InvalidInput, match="is quarantined; release it in the admin"):
            queue(dataset=f"tiny@sha256:{tiny.digest}")
        with pytest.raises(InvalidInput, match="is quarantined"):
            queue(dataset="tiny")

    @pytest.mark.parametrize("pin", ["", "sha256:", "sha256:abc", "md5:00000000", "latest"])
    def test_a_pin_that_pins_nothing(self, tiny, queue, pin):
        with pytest.raises(InvalidInput, match="pins no version"):
            queue(dataset=f"tiny@{pin}")

    def test_a_pin_that_stands_for_two_versions(self, owner, queue):
        for version in (1, 2):
            dataset_row(owner, name="twin", version=version, digest="ab" * 31 + f"0{version}")

        with pytest.raises(InvalidInput, match="several versions"):
            queue(dataset="twin@sha256:abababab")

    @pytest.mark.parametrize("role", ["auditor", ""])
    def test_a_role_without_the_right(self, tiny, at, role):
        with pytest.raises(Forbidden):
            services.queue_run(document=spec(), actor=account(role), at=at)


class TestIdempotencyKey:
    @pytest.fixture
    def ask(self, tiny, owner, at):
        def ask(key="k1", reason="", **more):
            return services.queue_run(
                document=spec(**more), actor=owner, at=at, reason=reason, idempotency_key=key
            )

        return ask

    def test_makes_one_run_of_two_requests(self, ask):
        assert ask() == ask()
        assert Run.objects.count() == 1
        assert AuditEvent.objects.filter(verb="backtests.run.queued").count() == 1

    def test_does_not_depend_on_how_the_spec_is_written(self, ask):
        assert ask(capital=1_000_000) == ask(capital=1_000_000.0, seed=0)

    def test_refuses_another_request(self, ask):
        ask()

        with pytest.raises(DuplicateRequest):
            ask(capital=5.0)
        with pytest.raises(DuplicateRequest):
            ask(reason="another")

    def test_still_finds_the_run_after_a_new_version_of_the_data(self, ask, owner, tmp_path):
        first = ask()
        bars_dataset(tmp_path, owner, n_days=61)

        assert ask() == first

    def test_is_each_users_own(self, ask, at):
        first = ask()
        other = account("researcher")

        second = services.queue_run(document=spec(), actor=other, at=at, idempotency_key="k1")

        assert second != first


class TestCancelRun:
    @pytest.fixture
    def cancel(self, owner, at):
        def ask(run, actor=owner):
            return services.cancel_run(run_id=run.public_id, actor=actor, at=at, reason="enough")

        return ask

    def test_ends_a_queued_run_at_once(self, tiny, owner, at, cancel):
        run = cancel(queued(owner))

        assert (run.status, run.finished_at) == (RunStatus.CANCELLED, at)
        assert [verb for verb, _ in trail(run)] == [
            "backtests.run.queued", "backtests.run.cancelled",
        ]  # fmt: skip

    def test_asks_a_running_one_once(self, tiny, owner, at, cancel):
        run = run_row(tiny, owner, RunStatus.RUNNING)

        cancel(run)
        again = cancel(run)

        assert (again.status, again.cancel_requested_at) == (RunStatus.RUNNING, at)
        assert [verb for verb, _ in trail(run)] == ["backtests.run.cancel_requested"]

    @pytest.mark.parametrize(
        ("status", "said"),
        [
            ("succeeded", "it is final"),
            ("failed", "it is final"),
            ("cancelled", "The run is cancelled already."),
        ],
    )
    def test_refuses_a_run_that_is_over(self, tiny, owner, cancel, status, said):
        run = run_row(tiny, owner, status)

        with pytest.raises(IllegalTransition, match=said):
            cancel(run)

    def test_refuses_another_researcher(self, tiny, owner, cancel):
        run = queued(owner)

        with pytest.raises(Forbidden, match="only cancel their own"):
            cancel(run, actor=account("researcher"))
        run.refresh_from_db()
        assert run.status == RunStatus.QUEUED

    @pytest.mark.parametrize("role", ["operator", "validator", "admin"])
    def test_lets_others_in_charge(self, tiny, owner, cancel, role):
        assert cancel(queued(owner), actor=account(role)).status == RunStatus.CANCELLED

    def test_refuses_a_researcher_who_is_an_auditor_too(self, tiny, owner, cancel):
        other = account("researcher")
        other.groups.add(*account("auditor").groups.all())
        row = run_row(tiny, owner)

        with pytest.raises(Forbidden, match="their own"):
            cancel(row, actor=other)

    def test_refuses_an_auditor(self, tiny, owner, cancel):
        with pytest.raises(Forbidden):
            cancel(queued(owner), actor=account("auditor"))

    def test_finds_no_unknown_run(self, owner, at):
        with pytest.raises(NotFound):
            services.cancel_run(run_id=uuid4(), actor=owner, at=at)
