"""From findings to a verdict: go on, stop with an answer, or pause.

The rules are the plan's, frozen at its start. They read intervals that hold whenever one looks, so
that reading them after every period uses nothing up. A guardrail is asked first, the mix of units
before all: an answer from a broken experiment is none.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from experiments.plans.findings import Comparison, Findings, MetricFindings
from experiments.plans.verdicts import Decision, GuardrailState, Verdict, nothing_yet
from experiments.plans.wording import (
    write_confidence,
    write_difference,
    write_interval,
    write_share,
)
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


@dataclass(frozen=True, slots=True)
class _Written:
    """How the values of a metric are written."""

    kind: str
    unit: str


def decide(
    findings: Findings, *, control: str, region_of_equivalence: float | None = None,
    goes_on_after_breach: bool = False, units: Mapping[str, str] | None = None,
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

    Notes
    -----
    In this order: units that did not come as allocated (beside which breaches are named); a
    guardrail shown to be worse than its margin; no difference, where all intervals lie inside the
    region of equivalence, whether or not they hold 0; a challenger whose interval lies above 0 (of
    several, the one with the best estimate); the control, where every challenger's lies below;
    inconclusive, where the planned periods are over. Where the primary metric asks for no more than
    being no worse, less than its margin takes the place of 0. Where intervals are withheld that
    waits for as many periods again: what is missing may come, and the end is for good.
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
    answer = _on_primary(findings, control, region_of_equivalence, states, units or {})
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


def _on_primary(
    findings: Findings, control: str, region: float | None, states: list[GuardrailState],
    units: Mapping[str, str],
) -> Decision:  # fmt: skip
    metric = findings.primary
    known = [(one, _improvement(metric, one)) for one in metric.comparisons]
    if known and region is not None and all(_is_nothing(one, region) for one, _ in known):
        largest = write_difference(_written(metric, units), region)
        reason = f"No difference of {metric.name} is larger than {largest}."
        return Decision(Verdict.NO_DIFFERENCE, reason, guardrails=states)
    least = -(metric.margin or 0.0)
    winners = [one for one, better in known if better is not None and better[0] > least]
    if winners:
        breached = {one.arm for one in states if one.status == GuardrailStatus.BREACHED}
        best = max(
            winners, key=lambda one: (one.arm not in breached, _signed(metric, one.estimate))
        )
        said = _sentence(metric, best, units, is_mix=bool(findings.contexts))
        reason = f"{said}{_rivals(metric, best)}{_unguarded(findings, best.arm, units)}"
        return Decision(Verdict.WINNER, reason, best.arm, states)
    if known and all(better is not None and better[1] < least for _, better in known):
        more = " by more than the margin" if metric.margin is not None else ""
        reason = f"Every challenger is worse than {control} on {metric.name}{more}."
        return Decision(Verdict.WINNER, reason, control, states)
    why = _why_not(metric)
    waits = any(one.is_withheld and not one.is_known for one in metric.comparisons)
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


def _why_not(metric: MetricFindings) -> str:
    """Return why nothing may be concluded; empty where nothing stands in the way."""
    withheld = [one for one in metric.comparisons if one.is_withheld]
    return " ".join(dict.fromkeys(one.because for one in withheld))


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
    if not one.is_known:
        return f"Nothing is known of its guardrail {metric.name}."
    written = _written(metric, units)
    interval = write_interval(written, one.lower, one.upper)
    return (
        f"Its guardrail {metric.name} is open: {write_confidence(one.confidence)} interval "
        f"{interval}, and worse by {write_difference(written, metric.margin)} is tolerated."
        f"{f' {one.because}' if one.is_withheld else ''}"
    )


def _is_nothing(comparison: Comparison, region: float) -> bool:
    interval = _interval(comparison)
    if interval is None or comparison.is_withheld:
        return False
    return judge_equivalence(interval, region=region) == EquivalenceStatus.EQUIVALENT


def _sentence(
    metric: MetricFindings, best: Comparison, units: Mapping[str, str], *, is_mix: bool
) -> str:
    seen = " over the periods that were seen" if is_mix else ""
    word = "more" if metric.direction == "increase" else "less"
    written = _written(metric, units)
    said = f"{best.arm} has {word} {metric.name} than {best.against}"
    better = _improvement(metric, best)
    if metric.margin is not None and better is not None and better[0] <= 0.0:
        least = write_difference(written, metric.margin)
        said = f"{best.arm} is no worse than {best.against} on {metric.name} by {least} or more"
    return (
        f"{said}{seen}: "
        f"{write_difference(written, best.estimate)}, {write_confidence(best.confidence)} "
        f"interval {write_interval(written, best.lower, best.upper)}."
    )


def _rivals(metric: MetricFindings, best: Comparison) -> str:
    """Return a sentence on challengers that may be better still; empty where none is."""
    rivals = metric.may_be_best(best.arm)
    if not rivals:
        return ""
    named = " or ".join([best.arm, *rivals])
    chances = ", ".join(
        f"{one.arm} {write_share(one.probability_best)}"
        for one in metric.standing
        if one.arm in {best.arm, *rivals}
    )
    return f" Which is the best of all, {named}, the data do not tell: {chances}."


def _written(metric: MetricFindings, units: Mapping[str, str]) -> _Written:
    return _Written(metric.kind, units.get(metric.name, ""))


def _improvement(metric: MetricFindings, comparison: Comparison) -> tuple[float, float] | None:
    """Return the interval of what a challenger is better by; None where there is none."""
    interval = _interval(comparison)
    if interval is None or comparison.is_withheld:
        return None
    if metric.direction == "increase":
        return interval.lower, interval.upper
    return -interval.upper, -interval.lower


def _signed(metric: MetricFindings, value: float | None) -> float:
    sign = 1.0 if metric.direction == "increase" else -1.0
    return float("-inf") if value is None else sign * value
