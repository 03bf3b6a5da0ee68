"""The policies of a replay: made from its spec, played, and what each of them earned."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from backtests.jobs.knowing import Known
from backtests.jobs.lease import Lease
from backtests.jobs.pairing import Paired
from backtests.runspec import ReplaySpec, RunSpec
from crowetrade_site.core import hints
from crowetrade_site.core.errors import InvalidInput, translating
from experiments.bandits import (
    CONTEXTUAL,
    BanditError,
    LinearPolicy,
    Policy,
    make_contextual,
    make_policy,
)
from experiments.simulation import (
    Curve,
    RegimeFigures,
    ReplayComparison,
    ReplayResult,
    SimulationError,
    replay,
)

FloatArray = NDArray[np.float64]
N_CHECKPOINTS = 150
MOST_MEMORY = 10_000  # replicates or window of a policy
CURVES = {
    "reward": "reward", "regret": "regret_to_best_arm", "gain": "gain_over_uniform",
}  # fmt: skip
BAND = ("p5", "p25", "p50", "p75", "p95")


@dataclass(frozen=True)
class Asked:
    """A policy, and the names of the features that it sees."""

    kind: str
    policy: Policy | LinearPolicy
    sees: list[str]


class Scale(NamedTuple):
    """How returns became what policies see: less the center, over the size."""

    center: float
    size: float


def policies_of(section: ReplaySpec, ends: tuple[float, float]) -> dict[str, Asked]:
    """Return the policies of a spec by what tells them apart; `ends` are of what they will see.

    Raises
    ------
    InvalidInput
        There is no such policy, it has no such setting, or returns are not for it (422).
    """
    made: dict[str, Asked] = {}
    for at, asked in enumerate(section.asked_policies):
        settings = {name: value for name, value in asked.items() if name != "kind"}
        kind, where = asked["kind"], f"replay.policies.{at}"
        _require_modest(settings, where)
        if kind in CONTEXTUAL:
            made[name_of(asked)] = _contextual(section, kind, settings, where)
        else:
            policy = _plain(len(section.runs), kind, settings, ends, where)
            made[name_of(asked)] = Asked(kind, policy, [])
    return made


def _plain(
    n_arms: int, kind: str, settings: dict[str, Any], ends: tuple[float, float], where: str
) -> Policy:
    if kind in {"exp3", "hedge"}:
        settings.setdefault("reward_range", ends)
    if kind == "top_two_thompson":
        settings.setdefault("posterior", "normal")
    with translating((BanditError, ValueError, TypeError), InvalidInput):
        policy = make_policy(kind, n_arms, **settings)
    if policy.lowest > ends[0] or policy.highest < ends[1]:
        raise InvalidInput(
            f"{where}: {kind} is for rewards from {policy.lowest:g} to {policy.highest:g}, and "
            "returns are not; take thompson_normal, ucb1 or kl_ucb_gaussian."
        )
    return policy


def _contextual(section: ReplaySpec, kind: str, settings: dict[str, Any], where: str) -> Asked:
    """Return a policy that decides by features: those that it names, or all."""
    if not section.features:
        raise InvalidInput.at(
            where, f"{kind} decides by features, and replay.features has none; name one."
        )
    wanted = settings.pop("features", section.feature_names)
    if not isinstance(wanted, list) or not wanted or len(set(map(str, wanted))) < len(wanted):
        raise InvalidInput.at(f"{where}.features", "is a list of features, each of them once.")
    for name in wanted:
        if name not in section.features:
            near = hints.nearest(str(name), section.feature_names)
            raise InvalidInput.at(f"{where}.features", f"there is no feature {name!r}{near}")
    with translating((BanditError, ValueError, TypeError), InvalidInput):
        policy = make_contextual(kind, len(section.runs), 1 + len(wanted), **settings)
    return Asked(kind, policy, [str(name) for name in wanted])


def _require_modest(settings: Mapping[str, Any], where: str) -> None:
    if "seed" in settings:
        raise InvalidInput.at(f"{where}.seed", "the seed is the run's; leave it out.")
    for name in ("n_replicates", "window"):
        value = settings.get(name)
        if isinstance(value, int | float) and value > MOST_MEMORY:
            raise InvalidInput(f"{where}.{name} is more than {MOST_MEMORY:,}.")


def name_of(asked: Mapping[str, Any]) -> str:
    """Return what a policy is called: its kind, and the settings that it was given."""
    given = [
        f"{name} {' + '.join(map(str, value)) if name == 'features' else value}"
        for name, value in sorted(asked.items()) if name != "kind"
    ]  # fmt: skip
    return ", ".join([asked["kind"], *given])


def replayed(
    spec: RunSpec, paired: Paired, known: Known | None, lease: Lease
) -> tuple[dict[str, Any], pa.Table]:
    """Return each policy's figures and the table of all curves.

    Raises
    ------
    InvalidInput
        Policies and returns do not go together.
    Cancelled, LeaseLost
        As `Lease.progress`.

    Notes
    -----
    Policies see returns less the mean and over the deviation of all arms together, as those of
    a running experiment do; what they earned is turned back into returns.
    """
    assert spec.replay is not None  # noqa: S101 - the kind has it
    section = spec.replay
    seen, scale = _standardized(paired.returns)
    made = policies_of(section, (float(seen.min()), float(seen.max())))
    n_periods = paired.ends.size
    marks = np.unique(np.linspace(1, n_periods, min(n_periods, N_CHECKPOINTS)).round().astype(int))
    shared: dict[str, Any] = {
        "seed": spec.seed, "checkpoints": marks.tolist(), "repetitions": section.repetitions,
        "regimes": None if known is None else known.regimes,
    }  # fmt: skip
    rows, tables, block = [], [], 1.0
    for number, (name, asked) in enumerate(made.items()):
        lease.progress(number, len(made))
        one = {name: asked.policy}
        contexts = {name: known.contexts(asked.sees)} if known and asked.sees else None
        with translating((BanditError, SimulationError), InvalidInput):
            found = replay(
                seen, one, contexts=contexts, mean_block=section.mean_block, **shared
            )  # fmt: skip
            lease.progress(number, len(made))
            once = replay(seen, one, contexts=contexts, as_happened=True, **shared)
        block = found.mean_block or 1.0
        rows.append(_figures(asked, found, once, scale))
        tables.append(_curves(name, found, scale))
    lease.progress(len(made), len(made))
    figures = {"policies": rows, "mean_block": block}
    if known is not None:
        figures["regimes"] = _regimes(section, known, paired.returns)
    return figures, pa.concat_tables(tables)


def _regimes(section: ReplaySpec, known: Known, returns: FloatArray) -> dict[str, Any]:
    """Return how often each regime came, what was known of the features, what each arm earned."""
    counts = np.bincount(known.regimes, minlength=len(known.names))
    rows = []
    for number, (name, n) in enumerate(zip(known.names, counts.tolist(), strict=True)):
        own = returns[known.regimes == number]
        rows.append({"regime": name, "n_periods": n, "totals": own.sum(axis=0).tolist()})
    features = [
        {"feature": name, "n_unknown": int(np.isnan(values).sum())}
        for name, values in known.features.items()
    ]
    return {"by": section.regimes, "rows": rows, "features": features}


def _standardized(returns: FloatArray) -> tuple[FloatArray, Scale]:
    scale = Scale(float(returns.mean()), float(returns.std()) or 1.0)
    return (returns - scale.center) / scale.size, scale


def _figures(
    asked: Asked, found: ReplayComparison, once: ReplayComparison, scale: Scale
) -> dict[str, Any]:
    """Return what a policy earned at the end, with the errors of the simulation."""
    result, real = found.results[0], once.results[0]
    n = found.n_periods
    return {
        "name": result.name, "kind": asked.kind,
        "reward": scale.size * result.reward.final + n * scale.center,
        "reward_error": scale.size * result.reward.final_error,
        "regret": scale.size * result.regret_to_best_arm.final,
        "regret_error": scale.size * result.regret_to_best_arm.final_error,
        "gain": scale.size * result.gain_over_uniform.final,
        "gain_error": scale.size * result.gain_over_uniform.final_error,
        "share_of_uniform_regret": result.share_of_uniform_regret,
        "happened_reward": scale.size * real.reward.final + n * scale.center,
        "happened_gain": scale.size * real.gain_over_uniform.final,
        "happened_error": scale.size * real.gain_over_uniform.final_error,
        "shares": result.shares.tolist(), "sees_all_arms": result.has_all_rewards,
        **_by_regime(asked, result, real, scale),
    }  # fmt: skip


def _by_regime(
    asked: Asked, result: ReplayResult, real: ReplayResult, scale: Scale
) -> dict[str, Any]:
    """Return what a policy did in each regime; nothing where the replay has no features.

    Means are of all histories: a rare regime, or one that comes in a few of them, has less to gain.
    """
    if result.by_regime is None or real.by_regime is None:
        return {}
    once: RegimeFigures = real.by_regime
    rows = []
    for number in range(result.by_regime.shares.shape[0]):
        figures: dict[str, Any] = {}
        for name in ("gain", "regret"):
            curve: Curve = getattr(result.by_regime, name)
            figures[name] = scale.size * float(curve.mean[number])
            figures[f"{name}_error"] = scale.size * float(curve.standard_error[number])
        figures["happened_gain"] = scale.size * float(once.gain.mean[number])
        shares = result.by_regime.shares[number]
        figures["shares"] = None if np.isnan(shares).any() else shares.tolist()
        rows.append(figures)
    return {"features": asked.sees, "by_regime": rows}


def _curves(name: str, found: ReplayComparison, scale: Scale) -> pa.Table:
    """Return the curves of a policy: mean, its Monte-Carlo error, and percentiles."""
    marks = found.checkpoints
    columns: dict[str, Any] = {"policy": [name] * marks.size, "period": marks}
    for ours, theirs in CURVES.items():
        curve: Curve = getattr(found.results[0], theirs)
        drift = marks * scale.center if ours == "reward" else 0.0
        columns[f"{ours}_mean"] = scale.size * curve.mean + drift
        columns[f"{ours}_error"] = scale.size * curve.standard_error
        for level, row in zip(BAND, curve.percentiles, strict=True):
            columns[f"{ours}_{level}"] = scale.size * row + drift
    return pa.table(columns)
