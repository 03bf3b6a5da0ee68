"""Evidence against a policy: which gates a version meets, and why not.

A gate answers met, not met, or not computed; what was not computed is never met. Gates with figures
take measured evidence alone; what a person attests meets manual gates.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from registry.rules import names
from registry.rules.policies import OF_NO_DATA, Gate, GateKind, StagePolicy

_CLOCKS = timedelta(minutes=5)  # between those of two machines


class Outcome(StrEnum):
    """What a gate answers."""

    MET = "met"
    NOT_MET = "not met"
    NOT_COMPUTED = "not computed"


@dataclass(frozen=True)
class EvidenceFacts:
    """What a gate reads of a piece of evidence.

    Attributes
    ----------
    version_digest : str
        Of the artifact that it speaks of; empty where it names none.
    is_current : bool
        Whether code and data are still those that it was measured with.
    source : str
        What was computed, or who attests; it ends with an identifier of its own.
    reproduces : str
        Of a reproduction: the identifier of what was computed again.
    data : str
        Digest of the dataset that it was measured on; empty where it names none.
    """

    name: str
    kind: str
    topic: str
    is_measured: bool
    figures: Mapping[str, Any]
    version_digest: str
    produced_at: datetime
    expires_at: datetime | None = None
    is_current: bool = True
    source: str = ""
    reproduces: str = ""
    data: str = ""


@dataclass(frozen=True)
class VersionFacts:
    """What the registry knows of a version by itself.

    Attributes
    ----------
    scan : {"ready", "quarantined", "pending", "refused"}
    waived_until : datetime, optional
        Until when a quarantined version may be above development.
    missing : sequence of str
        Fields of the model card that are empty.
    datasets : sequence of str
        Digests of the data that it says it was made from.
    """

    digest: str
    scan: str
    is_intact: bool
    has_signature: bool
    missing: Sequence[str] = ()
    waived_until: datetime | None = None
    findings: Sequence[str] = ()
    datasets: Sequence[str] = ()


@dataclass(frozen=True)
class GateResult:
    """What one gate answered, and why."""

    name: str
    outcome: Outcome
    reason: str
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True)
class GateReport:
    """What all gates of a stage answered."""

    stage: str
    results: tuple[GateResult, ...]
    approvals_needed: int
    evidence: tuple[str, ...] = field(default=())

    @property
    def is_met(self) -> bool:
        """Whether every gate is met."""
        return all(result.outcome == Outcome.MET for result in self.results)

    @property
    def failures(self) -> list[str]:
        """A sentence for each gate that is not met."""
        return [
            f"gate {result.name}: {result.reason}"
            for result in self.results
            if result.outcome != Outcome.MET
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
                    "evidence": list(result.evidence),
                }
                for result in self.results
            ],
        }  # fmt: skip


def standing(version: VersionFacts, now: datetime) -> list[str]:
    """Return a sentence for each gate that no policy leaves out and that is not met."""
    return [f"gate {one.name}: {one.reason}" for _, one in _unmet(version, now)]


def _unmet(version: VersionFacts, now: datetime) -> list[tuple[GateKind, GateResult]]:
    judged = [(kind, GateResult(str(kind), *judge(version, now))) for kind, judge in _ALWAYS]
    return [(kind, one) for kind, one in judged if one.outcome != Outcome.MET]


def evaluate(
    stage: str,
    policy: StagePolicy,
    version: VersionFacts,
    evidence: Sequence[EvidenceFacts],
    now: datetime,
    *,
    earlier: Sequence[EvidenceFacts] = (),
    measured: Sequence[Gate] = (),
) -> GateReport:
    """Judge every gate of a stage, and those that no policy leaves out.

    Whether the files were looked at, may be opened and have their bytes is asked at every stage,
    and told where it is not so: a waiver ends, and a type is trusted no more, after the first.

    Parameters
    ----------
    evidence : sequence of EvidenceFacts
        All valid evidence of the version, in any order.
    now : datetime
        With a time zone.
    earlier : sequence of EvidenceFacts
        Measured evidence that newer one has superseded: it decides nothing, and each gate tells its
        figures, so that nobody measures until one is good enough unseen.
    measured : sequence of Gate
        Of stages before: reproductions are of what these rest on, where this one measures nothing.
    """
    resting = _resting(policy.measured or measured, version, evidence, now)
    asked = [
        _with_earlier(_judge(gate, version, evidence, resting, now), gate, earlier)
        for gate in policy.gates
    ]
    own = {gate.kind for gate in policy.gates}
    results = (*(one for kind, one in _unmet(version, now) if kind not in own), *asked)
    named = tuple(sorted({name for result in results for name in result.evidence}))
    return GateReport(stage, results, policy.approvals.number, named)


def _with_earlier(result: GateResult, gate: Gate, earlier: Sequence[EvidenceFacts]) -> GateResult:
    """Tell what the figures were that the gate asks for, whenever they were measured before."""
    before = sorted((p for p in earlier if p.kind == gate.kind), key=lambda p: p.produced_at)
    told = [
        f"{name} {', '.join(f'{value:.6g}' for value in values)}"
        for name in (*gate.minimum, *gate.maximum)
        if (values := [v for p in before if isinstance(v := p.figures.get(name), int | float)])
    ]
    if not told:
        return result
    reason = f"{result.reason}; measured before, and superseded: {'; '.join(told)}"
    return replace(result, reason=reason)


def _judge(
    gate: Gate, version: VersionFacts, evidence: Sequence[EvidenceFacts],
    resting: Mapping[str, Sequence[str]], now: datetime,
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
    return _weigh(gate, version, evidence, resting, now)


def _scan(version: VersionFacts, now: datetime) -> tuple[Outcome, str]:
    if version.scan == "ready":
        return Outcome.MET, "nothing hostile was found"
    if version.scan == "quarantined":
        if version.waived_until is None:
            return Outcome.NOT_MET, "it is a pickle in quarantine, without a waiver"
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
    return Outcome.NOT_MET, "the version does not say what goes in and what comes out"


def _card(version: VersionFacts, _now: datetime) -> tuple[Outcome, str]:
    if not version.missing:
        return Outcome.MET, "the model card is complete"
    return Outcome.NOT_MET, f"the model card lacks: {', '.join(version.missing)}"


def _weigh(
    gate: Gate, version: VersionFacts, evidence: Sequence[EvidenceFacts],
    resting: Mapping[str, Sequence[str]], now: datetime,
) -> GateResult:  # fmt: skip
    """Take the newest evidence that counts; none is no answer."""
    of_kind = _of_kind(gate, evidence)
    if not of_kind:
        return GateResult(gate.name, Outcome.NOT_COMPUTED, "no evidence")
    if gate.kind == GateKind.REPRODUCTION:
        return _weigh_reproductions(gate, version, of_kind, resting, now)
    newest = _newest(of_kind)
    told = "" if gate.kind in OF_NO_DATA else _of_data(version, newest)
    result = _weigh_one(gate, version, newest, now)
    return replace(result, reason=f"{result.reason}; {told}") if told else result


def _of_kind(gate: Gate, evidence: Sequence[EvidenceFacts]) -> list[EvidenceFacts]:
    return [piece for piece in evidence if piece.kind == gate.kind and piece.topic == gate.topic]


def _resting(
    measured: Sequence[Gate], version: VersionFacts, evidence: Sequence[EvidenceFacts],
    now: datetime,
) -> dict[str, list[str]]:  # fmt: skip
    """Return the runs that decide measured gates, and by which kinds; what does not count, not."""
    resting: dict[str, list[str]] = {}
    for gate in measured:
        if not (of_kind := _of_kind(gate, evidence)):
            continue
        newest = _newest(of_kind)
        run = newest.source.rpartition(":")[2]
        if run and not _does_not_count(gate, version, newest, now):
            resting.setdefault(run, []).append(newest.kind)
    return resting


def _weigh_reproductions(
    gate: Gate, version: VersionFacts, of_kind: Sequence[EvidenceFacts],
    resting: Mapping[str, Sequence[str]], now: datetime,
) -> GateResult:  # fmt: skip
    """Take the newest of each run that gates rest on: one must be good, and none have failed."""
    newest = _newest_by_run(of_kind, resting)
    if not newest:
        return _of_other_runs(gate, _newest(of_kind), resting)
    failed = [piece for piece in newest if not _is_identical(piece)]
    told = [
        _of_run(_weigh_one(gate, version, piece, now), piece, resting) for piece in failed or newest
    ]
    if failed:
        return GateResult(
            gate.name, Outcome.NOT_MET, " | ".join(result.reason for result in told),
            tuple(piece.name for piece in failed),
        )  # fmt: skip
    return next((result for result in told if result.outcome == Outcome.MET), told[0])


def _newest_by_run(
    of_kind: Sequence[EvidenceFacts], resting: Mapping[str, Sequence[str]]
) -> list[EvidenceFacts]:
    """Return the newest reproduction of each run, newest first; what was attested hides none."""
    by_run: dict[str, list[EvidenceFacts]] = {}
    for piece in of_kind:
        if piece.reproduces in resting:
            by_run.setdefault(piece.reproduces, []).append(piece)
    newest = [
        _newest([piece for piece in pieces if piece.is_measured] or pieces)
        for pieces in by_run.values()
    ]
    return sorted(newest, key=_age, reverse=True)


def _of_other_runs(
    gate: Gate, newest: EvidenceFacts, resting: Mapping[str, Sequence[str]]
) -> GateResult:
    asked = ", ".join(sorted(resting)) or "a run that is evidence"
    reason = (
        f"what was reproduced is {newest.reproduces or 'not said'}, and no evidence that counts "
        f"for a gate is of it; reproduce one of: {asked}"
    )
    return GateResult(gate.name, Outcome.NOT_MET, reason, (newest.name,))


def _of_run(
    result: GateResult, piece: EvidenceFacts, resting: Mapping[str, Sequence[str]]
) -> GateResult:
    kinds = ", ".join(sorted(resting[piece.reproduces]))
    reason = f"{result.reason}; of {piece.reproduces}, which is evidence of: {kinds}"
    return replace(result, reason=reason)


def _is_identical(piece: EvidenceFacts) -> bool:
    return piece.figures.get("is_identical") is True


def _age(piece: EvidenceFacts) -> tuple[datetime, str]:
    return piece.produced_at, piece.name


def _newest(pieces: Sequence[EvidenceFacts]) -> EvidenceFacts:
    return max(pieces, key=_age)


def _of_data(version: VersionFacts, piece: EvidenceFacts) -> str:
    """Say how the data of evidence stand to those that the version was made from."""
    if not piece.data:
        return ""
    short = piece.data[:12]
    if not version.datasets:
        return f"measured on data {short}; the version does not name the data it was made from"
    if piece.data in version.datasets:
        return f"measured on data {short}, which the version was made from: not out of sample"
    return f"measured on data {short}, which the version was not made from"


def _unknown_data(version: VersionFacts, piece: EvidenceFacts) -> str:
    """Return why nobody can say whether data are unseen, or nothing."""
    reasons = (
        (not version.datasets, "the version does not name the data it was made from"),
        (
            not all(map(names.is_digest, version.datasets)),
            "the version does not name its data by digests",
        ),
        (not piece.data, "the evidence does not name its data"),
        (not names.is_digest(piece.data), "the evidence does not name its data by a digest"),
    )
    return next((text for is_so, text in reasons if is_so), "")


def _weigh_one(
    gate: Gate, version: VersionFacts, newest: EvidenceFacts, now: datetime
) -> GateResult:
    """Say whether a piece of evidence counts, and is within the bounds."""
    if gate.unseen_data and (unknown_data := _unknown_data(version, newest)):
        return GateResult(gate.name, Outcome.NOT_COMPUTED, unknown_data, (newest.name,))
    if why := _does_not_count(gate, version, newest, now):
        return GateResult(gate.name, Outcome.NOT_MET, why, (newest.name,))
    faults, unknown = _against_figures(gate, newest.figures)
    if unknown:
        return GateResult(
            gate.name, Outcome.NOT_COMPUTED, f"the evidence has no {', '.join(unknown)}",
            (newest.name,),
        )  # fmt: skip
    if faults:
        return GateResult(gate.name, Outcome.NOT_MET, "; ".join(faults), (newest.name,))
    return GateResult(gate.name, Outcome.MET, _praise(gate, newest), (newest.name,))


def _does_not_count(gate: Gate, version: VersionFacts, piece: EvidenceFacts, now: datetime) -> str:
    """Return the first reason why evidence does not count, or nothing."""
    age = now - piece.produced_at
    oldest = timedelta(days=gate.max_age_days) if gate.max_age_days is not None else timedelta.max
    reasons = (
        (
            gate.kind != GateKind.MANUAL and not piece.is_measured,
            "the evidence was attested, and this gate takes what was measured",
        ),
        (
            piece.version_digest not in ("", version.digest),
            "the evidence is of other bytes",
        ),
        (
            piece.is_measured and not piece.version_digest,
            "the evidence does not name the bytes that were measured",
        ),
        (
            gate.unseen_data and piece.data in version.datasets,
            "this gate takes data that the version was not made from",
        ),
        (
            gate.kind == GateKind.REPRODUCTION and not _is_identical(piece),
            "what was computed again is not identical",
        ),
        (not piece.is_current, "the code or the data have changed since it was measured"),
        (
            piece.expires_at is not None and piece.expires_at <= now,
            f"the evidence ended at {piece.expires_at}",
        ),
        (age < -_CLOCKS, "the evidence is dated in the future; check the clocks"),
        (age > oldest, f"the evidence is {age.days} days old, {gate.max_age_days} may be"),
    )
    return next((text for is_so, text in reasons if is_so), "")


def _against_figures(gate: Gate, figures: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Return what is out of bounds, and what was not computed."""
    faults, unknown = [], []
    bounds = [(name, least, "at least") for name, least in gate.minimum.items()]
    bounds += [(name, most, "at most") for name, most in gate.maximum.items()]
    for name, bound, word in bounds:
        value = figures.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
            unknown.append(name)
        elif (value < bound) if word == "at least" else (value > bound):
            faults.append(f"{name} is {value:.6g}, {word} {bound:.6g} is asked")
    return faults, unknown


def _praise(gate: Gate, piece: EvidenceFacts) -> str:
    shown = [f"{name} {piece.figures[name]:.6g}" for name in (*gate.minimum, *gate.maximum)]
    return ", ".join(shown) or f"{piece.kind} of {piece.produced_at:%Y-%m-%d}"
