"""From findings to a verdict: go on, stop with an answer, or pause.

The rules are the plan's, frozen at its start. They read intervals that hold whenever one looks, so
that reading them after every period uses nothing up. A guardrail is asked first, the mix of units
before all: an answer from a broken experiment is none.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from experiments.plans.findings import Comparison, Findings, MetricFindings
from experiments.plans.reasons import why_control_wins, why_divided, why_it_wins, written
from experiments.plans.verdicts import Decision, GuardrailState, Verdict, nothing_yet
from experiments.plans.winning import ArmResult, Needs, results_of
from experiments.plans.wording import write_confidence, write_difference, write_interval
from experiments.statistics.guardrails import (
    EquivalenceStatus,
    GuardrailStatus,
    judge_equivalence,
    judge_guardrail,
)

MOST_WAITING = 2  # times the planned periods, where some have outcomes of one side only


@dataclass(frozen=True, slots=True)
class _Interval:
    lower: float
    upper: float


def decide(
    findings: Findings, *, control: str, region_of_equivalence: float | None = None,
    goes_on_after_breach: bool = False, units: Mapping[str, str] | None = None,
    winner_needs: Needs = "any",
) -> Decision:  # fmt: skip
    """Return what the findings say under the rules of a plan.

    Parameters
    ----------
    findings : Findings
    control : str
        Name of the control.
    region_of_equivalence : float, optional
        Differences of the primary metric no larger than this are none [its unit, > 0].
    goes_on_after_breach : bool
        The plan has a breach of a guardrail told, and is answered all the same.
    units : mapping of str to str, optional
        Units of the metrics by their names, in which reasons are written.
    winner_needs : str
        Of several primary metrics: "any" or "all" of them.

    Notes
    -----
    In this order: units that did not come as allocated (beside which breaches are named); a
    guardrail shown to be worse than its margin; no difference, where all intervals lie inside the
    region of equivalence, whether or not they hold 0; a challenger whose interval lies above 0 (of
    several, the one with the best estimate); the control, where every challenger's lies below;
    inconclusive, where the planned periods are over. Of several primary metrics a challenger is
    judged once each has its interval: it wins where none lies below 0 and one at least above, or
    all, as the plan needs; of several the one that is better on most. Where a primary metric asks
    for no more than being no worse, less than its margin takes the place of 0. Where intervals are
    withheld that waits for as many periods again: what is missing may come, and the end is for
    good.
    """
    states = guardrail_states(findings)
    breached = [state for state in states if state.status == GuardrailStatus.BREACHED]
    alarm = ""
    if breached:
        named = ", ".join(f"{state.metric} of {state.arm}" for state in breached)
        alarm = f"Worse than its margin: {named}."
    mismatch = findings.mismatch
    if mismatch is not None and mismatch.is_mismatch:
        reason = (
            f"Units did not come to the arms as allocated (p = {mismatch.p_value:.2g}): find out "
            f"why before reading any result. {alarm}"
        )
        return Decision(Verdict.RATIO_MISMATCH, reason.strip(), guardrails=states)
    answer = _on_primaries(
        findings, control, region_of_equivalence, states, units or {}, winner_needs
    )
    if alarm and not (goes_on_after_breach and answer.ends):
        return Decision(Verdict.GUARDRAIL_BREACHED, alarm, guardrails=states)
    return replace(answer, reason=f"{alarm} {answer.reason}".strip())


def guardrail_states(findings: Findings) -> list[GuardrailState]:
    """Return where each guardrail stands for each challenger."""
    return [
        _state(metric, comparison)
        for metric in findings.guardrails
        for comparison in metric.comparisons
    ]


def _state(metric: MetricFindings, comparison: Comparison) -> GuardrailState:
    status = _guarded(metric, comparison)
    because = comparison.because if status == GuardrailStatus.OPEN else ""
    return GuardrailState(metric.name, comparison.arm, status, because)


def _guarded(metric: MetricFindings, comparison: Comparison) -> GuardrailStatus:
    """Return where a guardrail stands; what allows no conclusion may breach, but never hold.

    A pause for nothing is taken back, a loss is not.
    """
    interval = _interval(comparison)
    if interval is None or metric.margin is None:
        return GuardrailStatus.OPEN
    judged = judge_guardrail(
        interval, direction="increase" if metric.direction == "increase" else "decrease",
        margin=metric.margin,
    )  # fmt: skip
    if comparison.is_withheld and judged.status == GuardrailStatus.HELD:
        return GuardrailStatus.OPEN
    return judged.status


def _interval(comparison: Comparison) -> _Interval | None:
    if comparison.lower is None or comparison.upper is None:
        return None
    return _Interval(comparison.lower, comparison.upper)


def _on_primaries(
    findings: Findings, control: str, region: float | None, states: list[GuardrailState],
    units: Mapping[str, str], needs: Needs,
) -> Decision:  # fmt: skip
    primaries = findings.primaries
    first, results = primaries[0], results_of(primaries)
    if region is not None and results and _are_nothing(first.comparisons, region):
        largest = write_difference(written(first, units), region)
        reason = f"No difference of {first.name} is larger than {largest}."
        return Decision(Verdict.NO_DIFFERENCE, reason, guardrails=states)
    winners = [one for one in results if one.wins(needs)]
    if winners:
        best = _best(first, winners, states)
        said = why_it_wins(primaries, best, units, is_mix=bool(findings.contexts))
        reason = f"{said}{_unguarded(findings, best.arm, units)}"
        return Decision(Verdict.WINNER, reason, best.arm, states, _named(primaries, best.better))
    if results and all(one.loses(needs) for one in results):
        reason = why_control_wins(primaries, results, control)
        lost = set(results[0].worse).intersection(*(one.worse for one in results))
        return Decision(Verdict.WINNER, reason, control, states, _named(primaries, lost))
    why = f"{_why_not(primaries)} {why_divided(results, control)}".strip()
    return _without_answer(findings, states, why)


def _best(
    metric: MetricFindings, winners: Sequence[ArmResult], states: Sequence[GuardrailState]
) -> ArmResult:
    """Return the winner that breached nothing, is better on most, and by most on the first."""
    breached = {one.arm for one in states if one.status == GuardrailStatus.BREACHED}
    made = {one.arm: _signed(metric, one.estimate) for one in metric.comparisons}
    return max(winners, key=lambda one: (one.arm not in breached, len(one.better), made[one.arm]))


def _named(primaries: Sequence[MetricFindings], won_on: Collection[str]) -> tuple[str, ...]:
    """Return the metrics that were won, in the plan's order; of a single one nothing is said."""
    if len(primaries) == 1:
        return ()
    return tuple(metric.name for metric in primaries if metric.name in won_on)


def _without_answer(findings: Findings, states: list[GuardrailState], why: str) -> Decision:
    """Return that it goes on, or is over without an answer."""
    comparisons = [one for metric in findings.primaries for one in metric.comparisons]
    waits = any(one.is_withheld and not one.is_known for one in comparisons)
    is_over = findings.n_periods >= findings.horizon
    if findings.gives_up or (is_over and not waits):
        reason = f"The {findings.horizon:,} planned periods are over without an answer. {why}"
        if findings.gives_up:
            reason = "All differences are within the futility bound: an answer is unlikely."
        return Decision(Verdict.INCONCLUSIVE, reason.strip(), guardrails=states)
    if findings.n_seen >= MOST_WAITING * findings.horizon:
        reason = _waited_long(findings, is_withheld=waits)
        return Decision(Verdict.INCONCLUSIVE, reason, guardrails=states)
    reason = f"{findings.n_periods:,} of {findings.horizon:,} planned periods; no answer so far."
    if is_over:
        reason = f"The {findings.horizon:,} planned periods are over; no answer so far."
    if findings.is_early:
        reason = nothing_yet(findings.n_periods, findings.first_look)
    return Decision(Verdict.CONTINUE, f"{reason} {why}".strip(), guardrails=states)


def _why_not(primaries: Sequence[MetricFindings]) -> str:
    """Return why nothing may be concluded; empty where nothing stands in the way."""
    withheld = [
        one.because for metric in primaries for one in metric.comparisons if one.is_withheld
    ]
    return " ".join(dict.fromkeys(withheld))


def _waited_long(findings: Findings, *, is_withheld: bool) -> str:
    seen = f"{findings.n_seen:,} periods with outcomes"
    if is_withheld:
        return f"{findings.horizon:,} periods were planned; after {seen} no interval would hold."
    return f"Of {seen} {findings.n_periods:,} could be compared; {findings.horizon:,} were planned."


def _unguarded(findings: Findings, arm: str, units: Mapping[str, str]) -> str:
    """Return a sentence for each guardrail of an arm that is open; empty if none is."""
    return "".join(
        f" {_open(metric, one, units)}"
        for metric in findings.guardrails
        for one in metric.comparisons
        if one.arm == arm and _guarded(metric, one) == GuardrailStatus.OPEN
    )


def _open(metric: MetricFindings, one: Comparison, units: Mapping[str, str]) -> str:
    how = written(metric, units)
    if one.estimate is None:
        return f"Nothing is known of its guardrail {metric.name}. {one.because}".rstrip()
    tolerated = f"and worse by {write_difference(how, metric.margin)} is tolerated."
    if not one.is_known:
        return (
            f"Its guardrail {metric.name} is open: difference "
            f"{write_difference(how, one.estimate)}, without an interval, {tolerated} {one.because}"
        ).rstrip()
    interval = write_interval(how, one.lower, one.upper)
    return (
        f"Its guardrail {metric.name} is open: {write_confidence(one.confidence)} interval "
        f"{interval}, {tolerated}"
        f"{f' {one.because}' if one.is_withheld else ''}"
    )


def _are_nothing(comparisons: Sequence[Comparison], region: float) -> bool:
    return all(_is_nothing(one, region) for one in comparisons)


def _is_nothing(comparison: Comparison, region: float) -> bool:
    interval = _interval(comparison)
    if interval is None or comparison.is_withheld:
        return False
    return judge_equivalence(interval, region=region) == EquivalenceStatus.EQUIVALENT


def _signed(metric: MetricFindings, value: float | None) -> float:
    sign = 1.0 if metric.direction == "increase" else -1.0
    return float("-inf") if value is None else sign * value
