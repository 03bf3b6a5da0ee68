"""Whether a piece of evidence counts for a gate, and is within its bounds."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from registry.rules.facts import EvidenceFacts, GateResult, Outcome, VersionFacts
from registry.rules.policies import OF_A_RUN, Gate, GateKind

RESPONDING_SHARE = "responding_share"
LEAST_RESPONDING = 0.5  # share of a check's cuts, where the policy names no other
# What is read of a reproduction or a check to say whether it failed, and of what.
FINDINGS = (
    "of", "is_same_code", "is_identical", "n_differing", "fills_look_ahead", "n_decided_ahead",
)  # fmt: skip
DAYS_SEEN = "days_seen"  # of what the version was made from, by instruments and time
CLOCKS = timedelta(minutes=5)  # between those of two machines


def is_identical(piece: EvidenceFacts) -> bool:
    """Say whether a reproduction came to the same bytes."""
    return piece.figures.get("is_identical") is True


def looks_ahead(piece: EvidenceFacts) -> bool:
    """Say whether a causality check found anything, or does not say that it found nothing."""
    n_differing = piece.figures.get("n_differing")
    return isinstance(n_differing, bool) or n_differing != 0


def sees_fills_alone(piece: EvidenceFacts) -> bool:
    """Say whether all that a check found are fills at the close that decided them.

    Checks from before this was counted apart do not say so, and are taken by their setting.
    """
    figures = piece.figures
    return figures.get("fills_look_ahead") == 1 and not figures.get("n_decided_ahead")


def failure_of(piece: EvidenceFacts) -> str:
    """Say how a reproduction or a check failed; nothing where it did not."""
    if piece.kind == GateKind.REPRODUCTION:
        return "" if is_identical(piece) else "what was computed again is not identical"
    if not looks_ahead(piece):
        return ""
    if sees_fills_alone(piece):
        return "it looks ahead: orders are filled at the close that decided them"
    n_differing, n_cuts = piece.figures.get("n_differing"), piece.figures.get("n_cuts", "?")
    return (
        "it looks ahead: what was decided before a cut changed with the bars after it, at "
        f"{n_differing} of {n_cuts} cuts"
    )


def saw_nothing(piece: EvidenceFacts) -> bool:
    """Say whether the other bars of a causality check changed nothing even after its cuts."""
    n_responding = piece.figures.get("n_responding")
    return not isinstance(n_responding, int) or n_responding < 1


def responds_little(piece: EvidenceFacts) -> bool:
    """Say whether other bars changed something after less than half of a check's cuts."""
    n_responding, n_cuts = piece.figures.get("n_responding"), piece.figures.get("n_cuts")
    if not isinstance(n_responding, int) or not isinstance(n_cuts, int):
        return True  # it does not say of how many
    return n_responding < LEAST_RESPONDING * n_cuts


def of_kind(gate: Gate, evidence: Sequence[EvidenceFacts]) -> list[EvidenceFacts]:
    """Return the evidence that a gate looks at."""
    return [piece for piece in evidence if piece.kind == gate.kind and piece.topic == gate.topic]


def order_of(piece: EvidenceFacts) -> tuple[int, datetime, str]:
    """Return what evidence is ordered by: its arrival; time and name where nobody says."""
    return piece.arrived, piece.produced_at, piece.name


def newest_of(pieces: Sequence[EvidenceFacts]) -> EvidenceFacts:
    """Return the newest of some evidence."""
    return max(pieces, key=order_of)


def is_measured_of(version: VersionFacts, piece: EvidenceFacts) -> bool:
    """Say whether a worker measured these bytes."""
    return piece.is_measured and piece.version_digest == version.digest


def of_data(version: VersionFacts, piece: EvidenceFacts) -> str:
    """Say how the data of evidence stand to those that the version was made from."""
    if not piece.data:
        return ""
    told = _beside_its_own(version, piece)
    if others := ", ".join(version.datasets_set_aside):
        told += (
            f"; other data for the same bytes are named by {others}: registered later and by "
            "others, so not counted"
        )
    return told


def _beside_its_own(version: VersionFacts, piece: EvidenceFacts) -> str:
    short = piece.data[:12]
    if not version.datasets:
        return f"measured on data {short}; the version does not name the data it was made from"
    if piece.data in version.datasets:
        return f"measured on data {short}, which the version was made from: not out of sample"
    if days := number_of(piece.figures.get(DAYS_SEEN)):
        return (
            f"measured on data {short}, {days:.6g} days of which the version was made from: not "
            "out of sample"
        )
    return f"measured on data {short}, which the version was not made from"


def weigh_quality(
    gate: Gate, version: VersionFacts, pieces: Sequence[EvidenceFacts],
    data: Collection[tuple[str, str]], now: datetime,
) -> GateResult:  # fmt: skip
    """Take the newest of each import of data that other evidence was measured on: all must be good.

    The same bars may come from files with faults and from one without, so what decides is what the
    import found that each run used; of others it is told what they found. Where there is no other
    evidence, the newest of all decides.
    """
    newest = newest_of(pieces)
    asked = sorted(data) or [(newest.data, newest.quality)]
    each = [_weigh_data(gate, version, pieces, which, now) for which in asked]
    told = [result for result in each if result.outcome != Outcome.MET] or each
    worst = Outcome.NOT_MET if any(r.outcome == Outcome.NOT_MET for r in told) else told[0].outcome
    named = tuple(name for result in told for name in result.evidence)
    return GateResult(gate.name, worst, " | ".join(result.reason for result in told), named)


def _weigh_data(
    gate: Gate, version: VersionFacts, pieces: Sequence[EvidenceFacts], which: tuple[str, str],
    now: datetime,
) -> GateResult:  # fmt: skip
    digest, quality = which
    of_import = [p for p in pieces if (p.data, p.quality) == which]
    if not of_import:
        why = f"no evidence says how sound data {digest[:12]} are, which other evidence rests on"
        return GateResult(gate.name, Outcome.NOT_COMPUTED, why)
    newest = newest_of(of_import)
    result, told = weigh_one(gate, version, newest, now), [of_data(version, newest)]
    others = {p.quality: p for p in sorted(pieces, key=order_of) if p.data == digest}
    faults = {
        fault
        for other in others.values()
        if other.quality != quality
        for fault in _against_figures(gate, other.figures)[0]
    }
    told += [f"another import of the same data: {fault}" for fault in sorted(faults)]
    return replace(result, reason="; ".join([result.reason, *filter(None, told)]))


def _unknown_data(version: VersionFacts, piece: EvidenceFacts) -> str:
    """Return why nobody can say whether data are unseen, or nothing.

    That two digests differ says little: a bar less makes another. The worker that has the data
    compares instruments and time.
    """
    reasons = (
        (not version.datasets, "the version does not name the data it was made from"),
        (not piece.data, "the evidence does not name its data"),
        (
            piece.data not in version.datasets and number_of(piece.figures.get(DAYS_SEEN)) is None,
            "the version was made from data that the platform does not have: nobody can compare",
        ),
    )
    return next((text for is_so, text in reasons if is_so), "")


def weigh_one(
    gate: Gate, version: VersionFacts, newest: EvidenceFacts, now: datetime
) -> GateResult:
    """Say whether a piece of evidence counts, and is within the bounds."""
    if gate.asks_unseen and (unknown_data := _unknown_data(version, newest)):
        return GateResult(gate.name, Outcome.NOT_COMPUTED, unknown_data, (newest.name,))
    if why := does_not_count(gate, version, newest, now):
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


def does_not_count(gate: Gate, version: VersionFacts, piece: EvidenceFacts, now: datetime) -> str:
    """Return the first reason why evidence does not count, or nothing."""
    age = now - piece.produced_at
    oldest = timedelta(days=gate.max_age_days) if gate.max_age_days is not None else timedelta.max
    reasons = (
        (
            gate.kind != GateKind.MANUAL and not piece.is_measured,
            "the evidence was attested, and this gate takes what was measured",
        ),
        (
            piece.is_of_author,
            "who attests it had a hand in this version: somebody else attests",
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
            gate.asks_unseen
            and (piece.data in version.datasets or bool(number_of(piece.figures.get(DAYS_SEEN)))),
            "this gate takes data that the version was not made from",
        ),
        (
            gate.datasets != () and piece.data not in gate.datasets,
            "this gate takes other data than it was measured on",
        ),
        (gate.kind in OF_A_RUN and failure_of(piece) != "", failure_of(piece)),
        (
            gate.kind == GateKind.CAUSALITY and saw_nothing(piece),
            "the check tested nothing: other bars changed nothing after any cut either",
        ),
        (
            gate.kind == GateKind.CAUSALITY
            and RESPONDING_SHARE not in gate.minimum
            and responds_little(piece),
            f"the check tested little: it {_responded(piece)}, at least half is asked",
        ),
        (not piece.is_current, "the code or the data have changed since it was measured"),
        (
            piece.expires_at is not None and piece.expires_at <= now,
            f"the evidence ended at {piece.expires_at}",
        ),
        (age < -CLOCKS, "the evidence is dated in the future; check the clocks"),
        (age > oldest, f"the evidence is {_in_words(age)} old, {gate.max_age_days} may be"),
    )
    return next((text for is_so, text in reasons if is_so), "")


def _in_words(age: timedelta) -> str:
    """Return an age in days and begun hours: 30 days and a minute are more than 30 days."""
    days, hours = divmod(math.ceil(age / timedelta(hours=1)), 24)
    return f"{days} days" + (f" and {hours} h" if hours else "")


def number_of(value: Any) -> float | None:
    """Return a figure as a number; None where it is none, or none that float64 can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return None if math.isnan(number) else number


def _against_figures(gate: Gate, figures: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Return what is out of bounds, and what was not computed."""
    faults, unknown = [], []
    bounds = [(name, least, "at least") for name, least in gate.minimum.items()]
    bounds += [(name, most, "at most") for name, most in gate.maximum.items()]
    for name, bound, word in bounds:
        value = number_of(figures.get(name))
        if value is None:
            unknown.append(name)
        elif (value < bound) if word == "at least" else (value > bound):
            faults.append(f"{name} is {value:.6g}, {word} {bound:.6g} is asked")
    return faults, unknown


def _praise(gate: Gate, piece: EvidenceFacts) -> str:
    shown = [f"{name} {piece.figures[name]:.6g}" for name in (*gate.minimum, *gate.maximum)]
    praise = ", ".join(shown) or f"{piece.kind} of {piece.produced_at:%Y-%m-%d}"
    return f"{praise}, {_responded(piece)}" if gate.kind == GateKind.CAUSALITY else praise


def _responded(piece: EvidenceFacts) -> str:
    """Say after how many cuts of a causality check other bars changed anything."""
    n_responding, n_cuts = piece.figures.get("n_responding"), piece.figures.get("n_cuts", "?")
    return f"responded at {n_responding} of {n_cuts} cuts"
