"""What of a finished run is evidence, gate by gate: the figures that policies set bounds to.

Figures that were not computed are left out: a gate that asks for one is then not computed either.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from backtests.jobs.seen import days_seen
from backtests.lifecycle import OF_A_RUN, RunKind, RunStatus
from backtests.marketdata.soundness import quality_figures
from backtests.models import Run
from backtests.runspec.study import SECTIONS, search_of
from registry.services import Measured

PAID = ("commission_bps", "half_spread_bps")
_SELECTION = {
    "probability": "deflated_sharpe", "probability_all_trials": "deflated_sharpe_all",
    "best_sharpe": "best_sharpe", "holm_p_value": "holm_p_value", "p_value": "p_value",
    "minimum_backtest_years": "minimum_backtest_years",
}  # fmt: skip
_OVERFITTING = {
    "probability": "pbo", "probability_of_loss": "probability_of_loss",
    "performance_degradation": "performance_degradation",
}  # fmt: skip


def pieces_of(run: Run, made_from: Sequence[str] = ()) -> list[Measured]:
    """Return what a run measured about the version whose file was its strategy.

    Parameters
    ----------
    run : Run
        With dataset; one that reproduces or checks another is evidence of that alone. Any other
        that has not succeeded is none, whatever it kept.
    made_from : sequence of str
        Digests of the data that the version names; each figure says how much of it the run saw.

    Notes
    -----
    A backtest speaks for the file as it is, and for what its account loses under stress. A
    walk-forward speaks for how its account did out of sample with parameters chosen on the past
    alone. A search is judged by its PBO, whichever trial it likes best; the deflated Sharpe ratio
    is that of its best trial, so that it is evidence only where that trial *is* the version's file.
    A comparison speaks for nobody in particular.

    Whatever measured something tells how sound its data are, too, so that no gate rests on data of
    which nobody said so; what computes a run once more adds no data to those of its run.
    """
    if run.kind in OF_A_RUN:
        return _of_a_run(run)
    if run.status != RunStatus.SUCCEEDED:
        return []
    pieces = _of_strategy(run)
    if not pieces:
        return []
    return [_with_days_seen(piece, run, made_from) for piece in (*pieces, *_of_data(run))]


def _with_days_seen(piece: Measured, run: Run, made_from: Sequence[str]) -> Measured:
    """Say how much of what its version was made from a piece is about, where that is known.

    The account of a walk-forward is of its tests alone; what a search says of its choice is not.
    """
    seen = days_seen(run, made_from, by_account=piece.kind == "walk_forward")
    return piece if seen is None else replace(piece, figures={**piece.figures, "days_seen": seen})


def _of_a_run(run: Run) -> list[Measured]:
    """Return what a reproduction or check found; a check may find that its run is not the same."""
    pieces = []
    if "causality" in run.summary:
        pieces.append(Measured("causality", _causality(run), _sentence(run)))
    if "reproduction" in run.summary:
        pieces.append(Measured("reproduction", _reproduction(run), _sentence(run)))
    return pieces


def _of_strategy(run: Run) -> list[Measured]:
    kind = RunKind(run.kind)
    if kind == RunKind.BACKTEST:
        return [Measured("backtest", _account(run), _sentence(run)), *_under_stress(run)]
    study = run.summary.get("study") or {}
    pieces = []
    if kind == RunKind.WALK_FORWARD and study.get("walk"):
        figures = _account(run) | _out_of_sample(study["walk"])
        pieces.append(Measured("walk_forward", figures, _sentence(run)))
    if kind != RunKind.COMPARISON and study.get("selection"):
        pieces += _searched(run, study)
    return pieces


def _under_stress(run: Run) -> list[Measured]:
    """Return what the account loses under stress; a run of before that was measured has none."""
    if not (found := run.summary.get("stress")):
        return []
    words = f"{_sentence(run)} The account where markets are at their worst."
    return [Measured("stress", {**found["figures"], **_conditions(run)}, words)]


def _of_data(run: Run) -> list[Measured]:
    dataset = run.dataset
    figures = quality_figures(dataset.report, dataset.kind, dataset.n_instruments)
    words = f"Quality of {dataset}, as its import found it."
    return [Measured("data_quality", figures, words)] if figures else []


def _searched(run: Run, study: Mapping[str, Any]) -> list[Measured]:
    selection, counted = study["selection"], {"n_trials": study["selection"]["n_trials"]}
    pieces = []
    overfitting = _chosen(selection["figures"], _OVERFITTING)
    if "probability" in overfitting:
        overfitting |= counted | _conditions(run)
        pieces.append(Measured("pbo", overfitting, _sentence(run)))
    deflated = _chosen(selection["figures"], _SELECTION)
    if "probability" in deflated and _is_best_the_version(run, study):
        deflated |= {"n_trials_on_this_data": study["ledger"]["n_on_this_data"]}
        deflated |= counted | _conditions_of_spec(run)
        pieces.append(Measured("deflated_sharpe", deflated, _sentence(run)))
    return pieces


def _is_best_the_version(run: Run, study: Mapping[str, Any]) -> bool:
    """Whether the trial that was judged is the spec as it stands: the version's file, its costs."""
    from backtests import search

    return search.apply(run.spec, study["leaders"][0]["parameters"]) == run.spec


def _account(run: Run) -> dict[str, Any]:
    """Return the figures of a run's account, and the conditions that it traded under."""
    summary = run.summary
    figures = {
        name: metric["value"]
        for name, metric in summary["metrics"].items()
        if metric["value"] is not None
    }
    counted = ("n_bars", "n_instruments", "n_fills", "n_trades")
    figures |= {name: summary[name] for name in counted}
    return figures | _conditions(run)


def _conditions(run: Run) -> dict[str, Any]:
    """Return what every trial of a run was filled at and paid; nothing of what was searched."""
    found = _conditions_of_spec(run)
    over = search_of(run.spec).get("over") or {} if run.spec["kind"] in SECTIONS else {}
    searched = {path.partition(".")[0] for path in over}
    if "fills" in searched:
        del found["fills_look_ahead"]
    return found if "costs" not in searched else {n: v for n, v in found.items() if n not in PAID}


def _conditions_of_spec(run: Run) -> dict[str, Any]:
    """Return how a spec is filled, and what it pays.

    `fills_look_ahead` is 1 where the figures are an upper bound that nobody can trade, said where
    a gate can refuse it.
    """
    costs, fills = run.spec.get("costs") or {}, run.spec.get("fills") or {}
    has_seen = fills.get("at") == "same_close_with_look_ahead" and not fills.get("latency_bars")
    return {"fills_look_ahead": int(has_seen)} | {
        n: costs[n] for n in PAID if isinstance(costs.get(n), int | float)
    }


def _out_of_sample(walk: Mapping[str, Any]) -> dict[str, Any]:
    figures = {"n_folds": len(walk["folds"]), "n_distinct": walk["n_distinct"]}
    known = ("efficiency", "mean_train", "mean_test")
    return figures | {name: walk[name] for name in known if walk[name] is not None}


def _chosen(figures: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    values = {ours: (figures.get(theirs) or {}).get("value") for ours, theirs in names.items()}
    return {name: value for name, value in values.items() if value is not None}


def _reproduction(run: Run) -> dict[str, Any]:
    found = run.summary["reproduction"]
    return {
        "is_identical": found["is_identical"], "is_same_code": found["is_same_code"],
        "of": found["of"], "n_environment_changes": len(found["environment_changes"]),
    }  # fmt: skip


def _causality(run: Run) -> dict[str, Any]:
    found = run.summary["causality"]
    names = (
        "of", "is_same_code", "n_cuts", "n_differing", "n_decided_ahead", "n_responding", "n_bars",
        "n_decisions", "first_difference", "fills_look_ahead",
    )  # fmt: skip
    share = {"responding_share": found["n_responding"] / found["n_cuts"]}
    return {name: found[name] for name in names if name in found} | share


def _sentence(run: Run) -> str:
    """Return in words what was run, for people who read the evidence."""
    first, last = (str(run.summary.get(name, ""))[:10] for name in ("first_at", "last_at"))
    words = f"{RunKind(run.kind).words.capitalize()} of {run.tested_name} on {run.dataset}"
    return f"{words}, {first} to {last}." if first else f"{words}."
