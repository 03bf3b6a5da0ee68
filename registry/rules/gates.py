"""Evidence against a policy: which gates a version meets, and why not.

A gate answers met, not met, or not computed; what was not computed is never met. Gates with figures
take measured evidence alone; what a person attests meets manual gates.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from registry.rules.facts import EvidenceFacts, GateResult, History, Older, Outcome, VersionFacts
from registry.rules.policies import OF_A_RUN, OF_NO_DATA, Gate, GateKind, Policy
from registry.rules.repeats import Failed, Rest, data_of, find_failed, resting_on, weigh_repeats
from registry.rules.stress import weigh_stress
from registry.rules.weighing import (
    newest_of,
    number_of,
    of_data,
    of_kind,
    order_of,
    weigh_one,
    weigh_quality,
)

__all__ = [
    "EvidenceFacts",
    "GateReport",
    "GateResult",
    "History",
    "Older",
    "Outcome",
    "VersionFacts",
    "evaluate",
    "standing",
]


_NO_HISTORY = History()


@dataclass(frozen=True)
class GateReport:
    """What all gates of a stage answered."""

    stage: str
    results: tuple[GateResult, ...]
    approvals_needed: int
    evidence: tuple[str, ...] = field(default=())

    @property
    def is_met(self) -> bool:
        """Whether every gate is met; what is only told is in nobody's way."""
        return not any(result.is_in_the_way for result in self.results)

    @property
    def failures(self) -> list[str]:
        """A sentence for each gate that is not met."""
        return [
            f"gate {result.name}: {result.reason}"
            for result in self.results
            if result.is_in_the_way
        ]

    def document(self) -> dict[str, Any]:
        """Return the report as it is stored and shown."""
        return {
            "stage": self.stage,
            "is_met": self.is_met,
            "approvals_needed": self.approvals_needed,
            "gates": [
                {
                    "name": result.name, "outcome": str(result.outcome), "reason": result.reason,
                    "evidence": [*result.evidence, *result.told],
                }
                for result in self.results
            ],
        }  # fmt: skip


def standing(
    stage: str, policy: Policy, version: VersionFacts, evidence: Sequence[EvidenceFacts],
    now: datetime, *, history: History = _NO_HISTORY, relied_on: Sequence[EvidenceFacts] = (),
) -> list[GateResult]:  # fmt: skip
    """Return what stands against a version whatever a policy asks for.

    Files that were not looked at, may not be opened or have other bytes; and reproductions and
    checks that failed of what a stage, or one below, rests on.

    Parameters
    ----------
    relied_on : sequence of EvidenceFacts
        By what the version came there: it rests on these, too, whatever is newest by now and
        whatever the policy asks for.
    """
    rests = [
        *resting_on(stage, policy, version, evidence, now),
        *(Rest(one, is_own=True, counts=False) for one in relied_on),
    ]
    failed = _failures(version, evidence, history, rests).values()
    return [*_unmet(version, now), *(one.stops for one in failed if one.stops is not None)]


def _unmet(version: VersionFacts, now: datetime) -> list[GateResult]:
    judged = [GateResult(str(kind), *judge(version, now)) for kind, judge in _ALWAYS]
    return [one for one in judged if one.outcome != Outcome.MET]


def _failures(
    version: VersionFacts, evidence: Sequence[EvidenceFacts], history: History,
    rests: Sequence[Rest],
) -> dict[GateKind, Failed]:  # fmt: skip
    """Return what failed of the same bytes under whatever number, by kind."""
    seen = [*evidence, *history.repeats]
    asked = [Gate(kind=kind) for kind in sorted(OF_A_RUN)]
    return {gate.kind: find_failed(gate, version, of_kind(gate, seen), rests) for gate in asked}


def evaluate(
    stage: str, policy: Policy, version: VersionFacts, evidence: Sequence[EvidenceFacts],
    now: datetime, *, history: History = _NO_HISTORY,
) -> GateReport:  # fmt: skip
    """Judge every gate of a stage, and those that no policy leaves out.

    Whether the files were looked at, may be opened and have their bytes is asked at every stage,
    and told where it is not so: a waiver ends, and a type is trusted no more, after the first. So
    it is with reproductions and checks that failed of what this stage or one below rests on.

    Parameters
    ----------
    evidence : sequence of EvidenceFacts
        All valid evidence of the version, in any order.
    now : datetime
        With a time zone.
    history : History
        What was superseded decides nothing, and each gate tells its figures, so that nobody
        measures until one is good enough unseen; what failed of the same bytes under another
        number stops as it does here.
    """
    asked = policy.of(stage)
    rests = resting_on(stage, policy, version, evidence, now)
    failures = _failures(version, evidence, history, rests)
    results = []
    for gate in asked.gates:
        failed = failures.pop(gate.kind, None)
        result = (failed and failed.stops) or _judge(gate, version, evidence, rests, now)
        result = _with_earlier(result, gate, history)
        results.append(failed.tell(result) if failed else result)
    own = {gate.name for gate in asked.gates}
    unasked = [
        *(one for one in _unmet(version, now) if one.name not in own),
        *(_unasked(failed) for failed in failures.values() if failed),
    ]
    results = [*unasked, *results]
    named = tuple(sorted({name for one in results for name in (*one.evidence, *one.told)}))
    return GateReport(stage, tuple(results), asked.approvals.number, named)


def _unasked(failed: Failed) -> GateResult:
    """Return what failed where the policy has no such gate; never met, since nobody asked."""
    none = GateResult(
        failed.gate.name, Outcome.TOLD, "no gate asks for it, and none of what gates rest on failed"
    )
    return failed.tell(failed.stops or none)


def _with_earlier(result: GateResult, gate: Gate, history: History) -> GateResult:
    """Tell what the figures were that the gate asks for, whenever they were measured before."""
    of_gate = (piece for piece in history.earlier if piece.kind == gate.kind)
    before = sorted(of_gate, key=order_of)
    older = history.older.get(gate.kind)
    told = []
    for name in (*gate.minimum, *gate.maximum):
        values = [v for p in before if (v := number_of(p.figures.get(name))) is not None]
        if words := _earlier_in_words(name, values, older):
            told.append(f"{name} {words}")
    if not told:
        return result
    n = len(before) + (older.n if older else 0)
    times = {1: "once", 2: "twice"}.get(n, f"{n:,} times")
    reason = f"{result.reason}; measured {times} before, superseded since: {'; '.join(told)}"
    return replace(result, reason=reason)


def _earlier_in_words(name: str, values: Sequence[float], older: Older | None) -> str:
    """Return what a figure was before, in the order of time; empty where nobody knows."""
    extremes = older.extremes.get(name) if older else None
    seen = {f"{value:.6g}" for value in (*values, *(extremes or ()))}
    if len(seen) == 1 and (len(values) > 1 or extremes):
        return f"{seen.pop()} each time"
    *more, last = [f"{value:.6g}" for value in values] or [""]
    words = " and ".join(filter(None, [", ".join(more), last]))
    if older is None or extremes is None:
        return words
    least, most = extremes
    aged = f"{older.n:,} older ones from {least:.6g} to {most:.6g}"
    return f"{words}, and {aged}" if words else aged


def _judge(
    gate: Gate, version: VersionFacts, evidence: Sequence[EvidenceFacts], rests: Sequence[Rest],
    now: datetime,
) -> GateResult:  # fmt: skip
    built_in = {
        GateKind.ARTIFACT_SCAN: _scan,
        GateKind.INTEGRITY: _integrity,
        GateKind.SIGNATURE_SCHEMA: _schema,
        GateKind.MODEL_CARD_COMPLETE: _card,
    }.get(gate.kind)
    if built_in is not None:
        outcome, reason = built_in(version, now)
        return GateResult(gate.name, outcome, reason)
    return _weigh(gate, version, evidence, rests, now)


def _scan(version: VersionFacts, now: datetime) -> tuple[Outcome, str]:
    if version.scan == "ready":
        return Outcome.MET, "nothing hostile was found"
    if version.scan == "quarantined":
        if version.waived_until is None:
            reason = (
                "it is a pickle in quarantine, without a waiver; have it converted to skops or "
                "ONNX, and promote what comes of it"
            )
            return Outcome.NOT_MET, reason
        if version.waived_until <= now:
            return Outcome.NOT_MET, f"its waiver ended on {version.waived_until:%Y-%m-%d}"
        return Outcome.MET, f"a pickle, with a waiver until {version.waived_until:%Y-%m-%d}"
    if version.scan == "pending":
        return Outcome.NOT_COMPUTED, "the files have not been looked at yet"
    return Outcome.NOT_MET, "; ".join(version.findings) or "the files were refused"


def _integrity(version: VersionFacts, _now: datetime) -> tuple[Outcome, str]:
    if version.is_intact:
        return Outcome.MET, f"version digest {version.digest[:12]}"
    return Outcome.NOT_MET, "stored bytes were found to be others than those registered"


_ALWAYS = ((GateKind.ARTIFACT_SCAN, _scan), (GateKind.INTEGRITY, _integrity))


def _schema(version: VersionFacts, _now: datetime) -> tuple[Outcome, str]:
    if version.has_signature:
        return Outcome.MET, "inputs and outputs are described"
    reason = (
        "the version does not say what goes in and what comes out; register its files once more, "
        "with a signature (allow_duplicate says that it is meant)"
    )
    return Outcome.NOT_MET, reason


def _card(version: VersionFacts, _now: datetime) -> tuple[Outcome, str]:
    if not version.missing:
        return Outcome.MET, "the model card is complete"
    return Outcome.NOT_MET, f"the model card lacks: {', '.join(version.missing)}"


def _weigh(
    gate: Gate, version: VersionFacts, evidence: Sequence[EvidenceFacts], rests: Sequence[Rest],
    now: datetime,
) -> GateResult:  # fmt: skip
    """Take the newest evidence that counts; none is no answer."""
    pieces = of_kind(gate, evidence)
    if not pieces:
        return GateResult(gate.name, Outcome.NOT_COMPUTED, "no evidence")
    if gate.kind in OF_A_RUN:
        return weigh_repeats(gate, version, pieces, rests, now)
    if gate.kind == GateKind.DATA_QUALITY:
        return weigh_quality(gate, version, pieces, data_of(rests), now)
    newest = newest_of(pieces)
    if gate.kind == GateKind.STRESS:
        return weigh_stress(gate, version, newest, now)
    told = "" if gate.kind in OF_NO_DATA else of_data(version, newest)
    result = weigh_one(gate, version, newest, now)
    return replace(result, reason=f"{result.reason}; {told}") if told else result
