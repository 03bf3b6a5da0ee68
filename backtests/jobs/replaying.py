"""A replay: what an experiment and bandits would have made of the returns of finished runs.

Here, and only here, the pure packages of backtests and experiments meet. No parameter set is
evaluated that was not evaluated before, so the ledger of trials counts nothing.
"""

import io
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from backtests.engine.digests import content_digest
from backtests.jobs import playing
from backtests.jobs.answering import (
    answer,
    correlation_of,
    detectability_of,
    pairing_of,
    plan_of,
)
from backtests.jobs.knowing import load_known
from backtests.jobs.lease import Lease
from backtests.jobs.pairing import Paired, load_paired
from backtests.jobs.repeating import repeated
from backtests.models import Run
from backtests.runspec import ReplaySpec, RunSpec
from backtests.selectors.claims import claim_of
from backtests.selectors.progress import REPEATING
from backtests.selectors.replays import require_effort
from backtests.selectors.runs import describe_run
from crowetrade_site.core import storage
from crowetrade_site.core.errors import InvalidInput, translating
from experiments.bandits import LinearThompson, make_policy
from experiments.plans import Decision, ExperimentPlan, Findings
from experiments.simulation import replay, turbulence
from experiments.statistics.errors import StatisticsError

FloatArray = NDArray[np.float64]


def warm_up() -> None:
    """Compile or load every kernel of a usual replay once, before the first one needs them."""
    returns = np.array([[0.01, -0.01], [-0.02, 0.01], [0.01, 0.02], [0.0, -0.01]] * 8)
    policies = {"uniform": make_policy("uniform", 2)}
    for as_happened in (False, True):
        replay(returns, policies, repetitions=2, as_happened=as_happened)
    contexts = {"linear": np.ones((len(returns), 2))}
    replay(returns, {"linear": LinearThompson(2, 2)}, contexts=contexts, repetitions=2)
    turbulence(returns[:, 0], 5)
    days = np.arange(1, len(returns) + 1) * 86_400_000_000_000
    paired = Paired({"a": Run(), "b": Run()}, days, returns, 0, {})
    answer(plan_of({}, paired.labels, n_periods=days.size, seconds=86_400, seed=0), paired)


def check(spec: RunSpec, n_periods: int) -> None:
    """Refuse policies and an analysis that the experiments app does not know.

    Raises
    ------
    InvalidInput
        It says which, and what there is (422).
    """
    assert spec.replay is not None  # noqa: S101 - the kind has it
    section = spec.replay
    plan_of(
        section.analysis, section.labels, n_periods=n_periods, seconds=86_400, seed=spec.seed
    )  # fmt: skip
    playing.policies_of(section, (-1.0, 1.0))
    require_effort(section, n_periods)


def compute(run: Run, lease: Lease) -> dict[str, Any]:
    """Return the columns of a finished replay; its tables are in the store by then.

    Raises
    ------
    Conflict, Gone, NotFound, InvalidInput
        A run is no longer what it was, its files were removed, or runs and policies do not go
        together.
    Cancelled, LeaseLost
        As `Lease.progress`.
    """
    spec = RunSpec.model_validate(run.spec)
    assert spec.replay is not None  # noqa: S101 - the kind has it
    seconds: dict[str, float] = {}
    clock = time.perf_counter()

    def lap(phase: str) -> None:
        nonlocal clock
        seconds[phase], clock = round(time.perf_counter() - clock, 4), time.perf_counter()

    lease.phase("loading")
    given = load_paired(spec.replay)
    require_effort(spec.replay, given.ends.size)
    paired = given.centered() if spec.replay.aa else given
    lap("loading")
    lease.phase("replaying")
    known = load_known(spec.replay, given)
    policies, curves = playing.replayed(spec, paired, known, lease)
    lap("replaying")
    lease.phase("analyzing")
    plan = plan_of(
        spec.replay.analysis, paired.labels, n_periods=paired.ends.size,
        seconds=paired.period_seconds, seed=spec.seed,
    )  # fmt: skip
    with translating(StatisticsError, InvalidInput):
        findings, decision, n_decided = answer(plan, paired)
    lap("analyzing")
    lease.phase(REPEATING)
    again = repeated(
        plan, paired, repetitions=spec.replay.repetitions, mean_block=policies["mean_block"],
        lease=lease,
    )  # fmt: skip
    lap(REPEATING)
    found = {
        **_told(spec.replay, given, paired), **policies,
        "plan": plan.analysis.model_dump(mode="json"),
        "answer": _answered(plan, findings, decision, n_decided, paired), "repeated": again,
        "pairing": pairing_of(paired),
        "detectability": detectability_of(plan, paired, given.returns),
    }  # fmt: skip
    n_policies = len(policies["policies"])
    lease.progress(n_policies, n_policies)
    lease.phase("recording")
    tables = {
        "policies.parquet": curves,
        "returns.parquet": _returns_table(paired),
        "sequence.parquet": _sequence_table(findings),
    }
    artifacts = {}
    for name, table in tables.items():
        lease.phase("recording")
        artifacts[name] = _put(table)
    lease.phase("recording")
    lap("recording")
    return {
        "result_digest": content_digest(_figures_alone(found), _arrays(tables)),
        "artifacts": artifacts,
        "summary": {"replay": found, "seconds": seconds},
    }


def _told(section: ReplaySpec, given: Paired, paired: Paired) -> dict[str, Any]:
    """Return what the arms are, and what they earned."""
    totals = given.returns.sum(axis=0)
    best = int(np.argmax(totals))
    return {
        "control": given.labels[0], "is_centered": section.aa,
        "repetitions": section.repetitions,
        "n_common_bars": given.n_common, "n_periods": int(given.ends.size),
        "first_at": _moment(given.begin), "last_at": _moment(int(given.ends[-1])),
        "years": given.years, "periods_per_year": given.ends.size / given.years,
        "arms": [_arm(given, label, at) for at, label in enumerate(given.labels)],
        "best_arm": {"arm": given.labels[best], "total": float(totals[best])},
        "uniform_total": float(totals.mean()),
        "correlation": [
            [correlation_of(one, other) for other in paired.returns.T] for one in paired.returns.T
        ],
    }  # fmt: skip


def _figures_alone(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was found without the words for its arms, which may change with the code."""
    worded = ("what", "claim")
    arms = [{k: value for k, value in arm.items() if k not in worded} for arm in found["arms"]]
    return {**found, "arms": arms}


def _arm(given: Paired, label: str, at: int) -> dict[str, Any]:
    run, own = given.runs[label], given.returns[:, at]
    per_year = own.size / given.years
    mean, deviation = float(own.mean()), float(own.std(ddof=1))
    return {
        "arm": label, "run": str(run.public_id), "what": describe_run(run), "claim": claim_of(run),
        "n_bars": given.n_bars[label], "n_left_out": given.n_bars[label] - given.n_common,
        "total": float(own.sum()), "annual_return": mean * per_year,
        "annual_volatility": deviation * per_year**0.5,
        "sharpe": mean / deviation * per_year**0.5 if deviation > 0.0 else None,
    }  # fmt: skip


def _answered(
    plan: ExperimentPlan, findings: Findings, decision: Decision, n_decided: int | None,
    paired: Paired,
) -> dict[str, Any]:  # fmt: skip
    """Return the experiment's answer without its paths, which are a table of their own."""
    kept = [
        {name: getattr(one, name) for name in (
            "arm", "against", "confidence", "estimate", "lower", "upper", "probability_better",
            "expected_loss", "because", "p_value",
        )}
        for one in findings.primary.comparisons
    ]  # fmt: skip
    return {
        "verdict": str(decision.verdict), "reason": decision.reason, "winner": decision.winner,
        "n_periods": n_decided,
        "at": None if n_decided is None else _moment(int(paired.ends[n_decided - 1])),
        "horizon": plan.analysis.horizon_periods, "method": plan.analysis.method,
        "n_analyzed": findings.n_periods, "comparisons": kept, "notes": list(findings.notes),
    }  # fmt: skip


def _returns_table(paired: Paired) -> pa.Table:
    columns: dict[str, Any] = {
        label: paired.returns[:, at] for at, label in enumerate(paired.labels)
    }
    return pa.table({"ts": pa.array(paired.ends, pa.timestamp("ns", tz="UTC")), **columns})


def _sequence_table(findings: Findings) -> pa.Table:
    """Return estimate and interval of each challenger over time; null where there is none yet."""
    parts: dict[str, list[Any]] = {name: [] for name in ("arm", "ts", "period", *_INTERVAL)}
    for one in findings.primary.comparisons:
        if one.path is None:
            continue
        parts["arm"] += [one.arm] * len(one.path.at)
        parts["ts"] += one.path.at
        parts["period"] += one.path.n
        for name in _INTERVAL:
            parts[name] += getattr(one.path, name)
    types = {"arm": pa.string(), "ts": pa.timestamp("ns", tz="UTC"), "period": pa.int64()}
    return pa.table(
        {name: pa.array(part, types.get(name, pa.float64())) for name, part in parts.items()}
    )


_INTERVAL = ("estimate", "lower", "upper")


def _arrays(tables: Mapping[str, pa.Table]) -> dict[str, NDArray[Any]]:
    """Return every column of numbers or stamps by its name, for the digest of the result.

    Texts are in the summary too.
    """
    arrays = {}
    for file, table in tables.items():
        for name in table.column_names:
            column = table[name]
            if pa.types.is_string(column.type):
                continue
            if pa.types.is_timestamp(column.type):
                column = column.cast(pa.int64())
            arrays[f"{file}:{name}"] = column.to_numpy()
    return arrays


def _put(table: pa.Table) -> dict[str, Any]:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", store_schema=False)
    content = buffer.getvalue()
    return {"digest": storage.put(content), "bytes": len(content)}


def _moment(stamp_ns: int) -> str:
    return f"{np.datetime64(stamp_ns, 'ns')}Z"
