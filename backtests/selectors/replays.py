"""A replay's page: what an experiment would have said and when, and what policies would earn."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backtests.lifecycle import RunKind, RunStatus
from backtests.models import Run
from backtests.runspec import ReplaySpec
from backtests.selectors.arms import find_arms
from backtests.selectors.figures import write_ratio, write_share, write_signed
from backtests.selectors.progress import kind_of
from backtests.selectors.regimes import Regimes, describe_regimes, regime_values
from backtests.selectors.repeated import describe_repeated, is_beyond, write_false_alarms
from backtests.selectors.replay_curves import draw_policies, draw_sequence, rows_of
from backtests.selectors.searches import Estimate
from crowetrade_site.core.drawings import Drawing
from crowetrade_site.core.errors import InvalidInput
from crowetrade_site.core.tables import aligned

MOST_DECISIONS = 300_000_000  # repetitions × (periods × policies + horizon × challengers)
_SECONDS_TO_BEGIN, _SECONDS_PER_DECISION = 1.0, 4e-7  # twice: resampled, and as it happened
_SECONDS_PER_INTERVALS = 5e-4  # of one challenger in one repeated experiment, before its periods
_SECONDS_PER_ANALYSIS = 2e-2  # the same where the correction looks at all of them at once
_SECONDS_PER_ANALYZED = 7e-6  # of one of its periods there
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Replay:
    """The content of a replay's page and report.

    Attributes
    ----------
    verdict : str
        In words what the experiment would have said, and when; of an A/A replay how many of its
        experiments were false alarms.
    is_answer : bool or None
        Whether it found a winner, or an A/A replay no more than the plan allows; None of neither.
    repeated : dict or None
        The experiment on resampled histories; None of a replay from before there was this.
    regimes : Regimes or None
        The policies regime by regime; None of a replay without features.
    asides : list of str
        What the reader must know of it.
    regret, gain, sequence : Drawing or None
        None where the files were removed.
    policies, arms, comparisons, pairing, detectability : list of dict
        Rows of tables, as text with the exact values.
    """

    run: Run
    verdict: str
    is_answer: bool | None
    reason: str
    best: str
    asides: list[str]
    period: str
    regret: Drawing | None
    gain: Drawing | None
    sequence: Drawing | None
    policies: Rows
    policies_note: str
    arms: Rows
    comparisons: Rows
    pairing: Rows
    detectability: Rows
    matrix: dict[str, Any]
    values: dict[str, Any]
    repeated: dict[str, Any] | None
    regimes: Regimes | None


def is_replay(run: Run) -> bool:
    """Return whether a run replays the returns of others, for the first time or again."""
    return kind_of(run) == RunKind.REPLAY


def require_effort(section: ReplaySpec, n_periods: int) -> None:
    """Refuse more decisions than one run may take.

    Raises
    ------
    InvalidInput
        Repetitions, periods and policies are too many together (422).
    """
    n = sum(_decisions(section, n_periods))
    if n > MOST_DECISIONS:
        raise InvalidInput(
            f"replay: {section.repetitions:,} repetitions of {n_periods:,} periods under "
            f"{len(section.policies)} policies, and of the experiment, are {n:,} decisions, more "
            f"than {MOST_DECISIONS:,}; take fewer repetitions or policies.",
            errors=[{"path": "replay.repetitions", "message": f"{n:,} decisions"}],
        )


def _decisions(section: ReplaySpec, n_periods: int) -> tuple[int, int]:
    """Return the decisions of policies, and the looks at challengers in repeated experiments."""
    horizon = section.analysis.get("horizon_periods", n_periods)
    looks = (horizon if isinstance(horizon, int) else n_periods) * (len(section.runs) - 1)
    n_policies = len(section.policies)
    return section.repetitions * n_periods * n_policies, section.repetitions * looks


def most_periods(section: ReplaySpec) -> int:
    """Return how many periods the runs can have in common at most."""
    return min(int(run.summary["n_bars"]) for run in find_arms(section).values()) - 1


def estimate_replay(section: ReplaySpec) -> Estimate:
    """Return what a replay will take: seconds, and no trial."""
    n, n_looks = _decisions(section, most_periods(section))
    seconds = _SECONDS_TO_BEGIN + 2 * n * _SECONDS_PER_DECISION
    seconds += _seconds_of_answers(section, n_looks)
    return Estimate(n_trials=0, cost=0.0, seconds=seconds, is_measured=False)


def _seconds_of_answers(section: ReplaySpec, n_looks: int) -> float:
    """Return what repeated experiments take, by how the correction looks at the challengers."""
    n_challengers = len(section.runs) - 1
    n = section.repetitions * n_challengers
    correction, method = section.analysis.get("correction"), section.analysis.get("method")
    if correction in {"dunnett", "benjamini_hochberg"} and method == "fixed_horizon":
        return n * _SECONDS_PER_ANALYSIS + n_looks * _SECONDS_PER_ANALYZED
    n_levels = n_challengers if correction in {"holm", "benjamini_hochberg"} else 1
    return n_levels * (n * _SECONDS_PER_INTERVALS + n_looks * _SECONDS_PER_DECISION)


def get_replay(run: Run) -> Replay | None:
    """Return what there is to see of a replay; None of another run, and before it is over.

    Raises
    ------
    Corrupted, Unavailable
        Its curves cannot be read.
    """
    found = run.summary.get("replay")
    if not found or run.status != RunStatus.SUCCEEDED:
        return None
    has_files = run.artifacts_expired_at is None
    curves = rows_of(run, "policies.parquet") if has_files else []
    answer = found["answer"]
    return Replay(
        run=run,
        verdict=_verdict(found),
        is_answer=_is_answer(found),
        reason="" if found["is_centered"] else answer["reason"],
        best=_best(found),
        asides=_asides(found),
        period=_period(found),
        regret=draw_policies(
            curves, "regret", "Regret",
            "What the arm that was best by then, in hindsight, had more: mean over all resamples, "
            "and the band in which half of them lie. Flat is good.",
        ),
        gain=draw_policies(
            curves, "gain", "More than equal shares",
            "What each policy had more than the mean of all arms: mean over all resamples, and the "
            "band in which half of them lie. Above 0 is good.",
        ),
        sequence=draw_sequence(rows_of(run, "sequence.parquet"), found) if has_files else None,
        policies=[_policy(row, found) for row in found["policies"]],
        policies_note=_policies_note(found),
        arms=[_arm(row, found) for row in found["arms"]],
        comparisons=[_comparison(row, found) for row in answer["comparisons"]],
        pairing=[_pairing(row) for row in found["pairing"]],
        detectability=[_detectability(row) for row in found["detectability"]],
        matrix=_matrix(found),
        values=_values(found),
        repeated=describe_repeated(found),
        regimes=describe_regimes(found),
    )  # fmt: skip


def get_replay_state(run: Run) -> dict[str, Any] | None:
    """Return the answer of a replay for programs, from its row alone; None of another run."""
    found = run.summary.get("replay")
    if not found or run.status != RunStatus.SUCCEEDED:
        return None
    return {"verdict": _verdict(found), "values": _values(found)}


def _verdict(found: Mapping[str, Any]) -> str:
    """Return the headline: what an experiment would have said and when, or of A/A how many did."""
    if found["is_centered"]:
        return write_false_alarms(found)
    answer, control = found["answer"], found["control"]
    when = ""
    if answer["n_periods"] is not None:
        when = f"after {answer['n_periods']:,} of {found['n_periods']:,} periods, on {_day(answer)}"
    said = {
        "winner": f"chosen {answer['winner']} over {control} {when}",
        "no_difference": f"found no difference that matters {when}",
        "inconclusive": f"ended without an answer {when}",
    }.get(answer["verdict"], f"no answer yet after all {found['n_periods']:,} periods")
    if answer["verdict"] == "winner" and answer["winner"] == control:
        said = f"kept {control} {when}: every challenger is worse"
    return f"An experiment would have {said}."


def _is_answer(found: Mapping[str, Any]) -> bool | None:
    again = found.get("repeated")
    if found["is_centered"]:
        return None if again is None else not is_beyond(again)
    return True if found["answer"]["verdict"] == "winner" else None


def _best(found: Mapping[str, Any]) -> str:
    """Return the arm that was the best in hindsight, and the policy that came out best."""
    best = found["best_arm"]
    of = "Before the means were taken off" if found["is_centered"] else "In hindsight"
    sentence = (
        f"{of} {best['arm']} was the best arm: its returns add up to {write_share(best['total'])}, "
        f"those of equal shares to {write_share(found['uniform_total'])}."
    )
    leading = max(found["policies"], key=lambda row: row["gain"])
    if leading["gain"] < 2.0 * leading["gain_error"]:
        return f"{sentence} No policy did better than equal shares, beyond the Monte-Carlo error."
    return (
        f"{sentence} Of the policies {leading['name']} did best on resampled histories: "
        f"{write_signed(leading['gain'])} against equal shares (Monte-Carlo error "
        f"{write_share(leading['gain_error'])})."
    )


def _asides(found: Mapping[str, Any]) -> list[str]:
    said = []
    if found["is_centered"]:
        said.append(
            "A/A: every arm's mean was taken off, so that no arm is better: a winner is a false "
            "alarm, and what a policy gains is luck. This one history ends at a difference of 0, "
            "whatever the method; resampled histories do not, and it is on them that alarms are "
            "counted."
        )
    else:
        said.append(
            "It is the past of these runs that is replayed. Strategies that were chosen by their "
            "past look better here than they will be."
        )
    left = [row for row in found["arms"] if row["n_left_out"]]
    if left:
        named = ", ".join(f"{row['n_left_out']:,} of {row['arm']}" for row in left)
        said.append(f"Bars that not all runs have were left out: {named}.")
    said += found["answer"]["notes"]
    said.append("No parameter set was evaluated, so the ledger of trials counts nothing.")
    return said


def _period(found: Mapping[str, Any]) -> str:
    return (
        f"{found['n_common_bars']:,} common bars, {found['first_at'][:10]} to "
        f"{found['last_at'][:10]}: {found['n_periods']:,} paired periods in "
        f"{found['years']:.1f} years"
    )


def _policy(row: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    share = row["share_of_uniform_regret"]
    labels = [arm["arm"] for arm in found["arms"]]
    order = sorted(zip(row["shares"], labels, strict=True), reverse=True)
    return {
        "name": row["name"],
        "sees": _seen(row),
        **_figure("reward", row["reward"], write_share, row["reward_error"]),
        **_figure("gain", row["gain"], write_signed, row["gain_error"]),
        **_figure("regret", row["regret"], write_share, row["regret_error"]),
        **_figure("happened", row["happened_gain"], write_signed, row["happened_error"]),
        "of_uniform": "–" if share is None else f"{share:.0%}",
        "of_uniform_exact": repr(share),
        "shares": ", ".join(f"{label} {part:.0%}" for part, label in order[:3]),
    }


def _seen(row: Mapping[str, Any]) -> str:
    """Return what a policy learns from, and the features that it decides by."""
    arms = "all arms" if row["sees_all_arms"] else "its own"
    return ", ".join([arms, *row.get("features", [])])


def _figure(name: str, value: float, write: Any, error: float) -> dict[str, str]:
    return {name: write(value), f"{name}_exact": repr(value), f"{name}_error": write_share(error)}


def _policies_note(found: Mapping[str, Any]) -> str:
    return (
        f"All capital goes to one arm in each period; returns are added up. Mean of "
        f"{found['repetitions']:,} resamples of whole periods in blocks of "
        f"{found['mean_block']:.1f} on average (stationary bootstrap), all arms drawn together "
        "and the same for every policy; ± is the Monte-Carlo error of the mean. As it happened: "
        "the periods in their order, where only a policy's own draws differ. Moving capital costs "
        "nothing here."
    )


def _arm(row: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **row,
        "is_control": row["arm"] == found["control"],
        "is_best": row["arm"] == found["best_arm"]["arm"],
        "total_text": write_share(row["total"]),
        "annual_return_text": write_share(row["annual_return"]),
        "annual_volatility_text": write_share(row["annual_volatility"]),
        "sharpe_text": "–" if row["sharpe"] is None else write_ratio(row["sharpe"]),
        "n_bars_text": f"{row['n_bars']:,}",
    }


def _comparison(row: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """Return a difference from the control at the end, a year."""
    scale = found["periods_per_year"]
    is_known = row["lower"] is not None and row["upper"] is not None
    chance = row["probability_better"]
    return {
        "arm": row["arm"],
        "estimate": "–" if row["estimate"] is None else write_signed(row["estimate"] * scale),
        "estimate_exact": repr(row["estimate"]),
        "interval": f"{write_signed(row['lower'] * scale)} to {write_signed(row['upper'] * scale)}"
        if is_known
        else "none yet",
        "is_apart": is_known and (row["lower"] > 0.0 or row["upper"] < 0.0),
        "confidence": f"{row['confidence']:.4g}",
        "chance": "–" if chance is None else f"{chance:.0%}",
        "because": row["because"],
    }


def _pairing(row: Mapping[str, Any]) -> dict[str, Any]:
    ratio = row["ratio"]
    return {
        "arm": row["arm"],
        "correlation": "–" if row["correlation"] is None else write_ratio(row["correlation"]),
        "correlation_exact": repr(row["correlation"]),
        "ratio": "–" if ratio is None else f"{ratio:.2f}×",
        "ratio_exact": repr(ratio),
        "times": "–" if ratio is None else f"{ratio * ratio:.1f}×",
    }


def _detectability(row: Mapping[str, Any]) -> dict[str, Any]:
    years = row.get("years_needed")
    if "because" in row:
        return {"arm": row["arm"], "because": row["because"]}
    return {
        "arm": row["arm"],
        "difference": write_signed(row["difference"]),
        "ratio": write_ratio(row["information_ratio"]),
        "seen": write_share(row["detectable_difference"]),
        "seen_ratio": write_ratio(row["detectable_ratio"]),
        "years": "–" if years is None else f"{years:,.1f}" if years < 1000 else "over 1,000",
    }


def _matrix(found: Mapping[str, Any]) -> dict[str, Any]:
    names = [row["arm"] for row in found["arms"]]
    rows = [
        {"name": name, "cells": [_shaded(value) for value in row]}
        for name, row in zip(names, found["correlation"], strict=True)
    ]
    return {"names": names, "rows": rows}


def _shaded(value: float | None) -> dict[str, Any]:
    if value is None:
        return {"text": "–", "shade": 0, "sign": ""}
    return {
        "text": f"{value:.2f}", "shade": min(9, int(abs(value) * 10)),
        "sign": "down" if value < 0 else "up",
    }  # fmt: skip


def _values(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer and the policies as programs read them."""
    answer = found["answer"]
    kept = ("name", "reward", "reward_error", "regret", "regret_error", "gain", "gain_error",
            "happened_gain")  # fmt: skip
    return {
        **{name: answer[name] for name in ("verdict", "winner", "n_periods", "at")},
        "best_arm": found["best_arm"]["arm"],
        "repeated": found.get("repeated"),
        "regimes": regime_values(found),
        "policies": [{name: row[name] for name in kept} for row in found["policies"]],
    }


def _day(answer: Mapping[str, Any]) -> str:
    return str(answer["at"])[:10]


def write_policies(shown: Replay) -> list[str]:
    """Return the policies as an aligned table for the command line."""
    head = ("policy", "reward", "vs equal shares", "regret", "as it happened")
    rows = [head] + [
        (row["name"], row["reward"], f"{row['gain']} ± {row['gain_error']}",
         f"{row['regret']} ± {row['regret_error']}", row["happened"])
        for row in shown.policies
    ]  # fmt: skip
    return aligned(rows)
