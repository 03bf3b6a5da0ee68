"""Reproductions and causality checks: of which runs they must be, and what one that failed means.

One good reproduction suffices, of a run that decides a gate of the stage that is asked for; one
good check, of a backtest that decides one there or below. One that failed stops a version wherever
its run is relied on: at this stage, or at one below. So it does where what is relied on is the same
computation, run once more or for another version of the same bytes: neither makes it another.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from registry.rules.facts import EvidenceFacts, GateResult, Outcome, VersionFacts
from registry.rules.policies import Gate, GateKind
from registry.rules.weighing import (
    age_of,
    does_not_count,
    is_identical,
    looks_ahead,
    newest_of,
    of_kind,
    weigh_one,
)

Kinds = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Resting:
    """The runs that measured gates rest on, and by which kinds of evidence.

    Attributes
    ----------
    deciding : mapping of str to sequence of str
        By run: evidence that counts for this stage's own gates, or those of the nearest below.
    checkable : mapping of str to sequence of str
        By run: backtests that count for gates of this stage or of any below. No other kind of run
        can be checked for causality.
    relied_on : mapping of str to sequence of str
        By run: the newest measurement for gates of this stage and of all below. Too old, ended or
        of other code it counts no more, and what rose by it still rests on it.
    data : frozenset of (str, str)
        Digests of the data that this was measured on, and of what their imports found.
    computed : mapping of str to str
        By what was computed: a run of `relied_on` that computed it.
    """

    deciding: Kinds
    checkable: Kinds
    relied_on: Kinds
    data: frozenset[tuple[str, str]]
    computed: Mapping[str, str]

    def of(self, kind: GateKind) -> Kinds:
        """Return the runs of which a good reproduction, or check, meets its gate."""
        return self.deciding if kind == GateKind.REPRODUCTION else self.checkable


def resting_on(
    own: Sequence[Gate], below: Sequence[Gate], version: VersionFacts,
    evidence: Sequence[EvidenceFacts], now: datetime,
) -> Resting:  # fmt: skip
    """Return the runs that gates rest on: those that decide, and those that are relied on."""
    deciding: dict[str, list[str]] = {}
    checkable: dict[str, list[str]] = {}
    relied_on: dict[str, list[str]] = {}
    data: set[tuple[str, str]] = set()
    computed: dict[str, str] = {}
    for gate in own:
        newest = _newest_for(gate, evidence)
        if newest and not does_not_count(gate, version, newest, now):
            _note(deciding, newest)
    for gate in (*own, *below):
        newest = _newest_for(gate, evidence)
        if newest and _is_measured_of(version, newest):
            _note(relied_on, newest)
            data |= {(newest.data, newest.quality)} if newest.data else set()
            if newest.computed and _run_of(newest):
                computed[newest.computed] = _run_of(newest)
            if gate.kind == GateKind.BACKTEST and not does_not_count(gate, version, newest, now):
                _note(checkable, newest)
    return Resting(deciding, checkable, relied_on, frozenset(data), computed)


def _newest_for(gate: Gate, evidence: Sequence[EvidenceFacts]) -> EvidenceFacts | None:
    pieces = of_kind(gate, evidence)
    return newest_of(pieces) if pieces else None


def _run_of(piece: EvidenceFacts) -> str:
    return piece.source.rpartition(":")[2]


def _note(runs: dict[str, list[str]], piece: EvidenceFacts) -> None:
    run = _run_of(piece)
    if run and piece.kind not in runs.setdefault(run, []):
        runs[run].append(piece.kind)


def _is_measured_of(version: VersionFacts, piece: EvidenceFacts) -> bool:
    return piece.is_measured and piece.version_digest == version.digest


def weigh_repeats(
    gate: Gate, version: VersionFacts, pieces: Sequence[EvidenceFacts], resting: Resting,
    now: datetime,
) -> GateResult:  # fmt: skip
    """Take the newest of each run that gates rest on, none of which failed: one must be good."""
    wanted = resting.of(gate.kind)
    newest = [p for p in _newest_by_run(version, pieces, resting) if p.reproduces in wanted]
    if not newest:
        return _of_other_runs(gate, newest_of(pieces), wanted)
    weighed = [_of_run(weigh_one(gate, version, p, now), p, wanted, p.reproduces) for p in newest]
    return next((result for result in weighed if result.outcome == Outcome.MET), weighed[0])


def find_failed(
    gate: Gate, version: VersionFacts, pieces: Sequence[EvidenceFacts], resting: Resting,
    now: datetime,
) -> GateResult | None:  # fmt: skip
    """Return every run that is relied on of which the newest that speaks failed; None if none."""
    newest = _newest_that_speaks(version, pieces)
    failed = [
        (piece, run)
        for piece in sorted(newest.values(), key=age_of, reverse=True)
        if has_failed(piece) and (run := _stops(piece, newest, resting))
    ]
    if not failed:
        return None
    told = [
        _of_run(weigh_one(gate, version, piece, now), piece, resting.relied_on, run)
        for piece, run in failed
    ]
    return GateResult(
        gate.name, Outcome.NOT_MET, " | ".join(result.reason for result in told),
        tuple(piece.name for piece, _ in failed),
    )  # fmt: skip


def _newest_that_speaks(
    version: VersionFacts, pieces: Sequence[EvidenceFacts]
) -> dict[str, EvidenceFacts]:
    newest: dict[str, EvidenceFacts] = {}
    for piece in sorted((p for p in pieces if _speaks(version, p)), key=age_of):
        newest[piece.reproduces] = piece
    return newest


def _stops(piece: EvidenceFacts, newest: Mapping[str, EvidenceFacts], resting: Resting) -> str:
    """Return the run that is relied on and that a failure is of; empty where it is of none.

    Of the same computation under another number it is taken back by a later good one of the run
    that is relied on, as it would be of its own.
    """
    if piece.reproduces in resting.relied_on:
        return piece.reproduces
    run = resting.computed.get(piece.computed, "")
    own = newest.get(run)
    is_taken_back = own is not None and not has_failed(own) and age_of(own) > age_of(piece)
    return "" if is_taken_back else run


def tell_failed(
    result: GateResult, version: VersionFacts, pieces: Sequence[EvidenceFacts]
) -> GateResult:
    """Tell of which other runs a reproduction or check failed, whatever came after it."""
    runs = {
        piece.reproduces
        for piece in pieces
        if _speaks(version, piece) and has_failed(piece) and piece.name not in result.evidence
    }
    if not runs:
        return result
    is_check = result.name == GateKind.CAUSALITY
    word = "looking ahead" if is_check else "not identical"
    told = f"{word} before, and deciding nothing now: {', '.join(sorted(runs))}"
    return replace(result, reason=f"{result.reason}; {told}")


def has_failed(piece: EvidenceFacts) -> bool:
    """Say whether a reproduction is not identical, or a check found that its run looks ahead."""
    return looks_ahead(piece) if piece.kind == GateKind.CAUSALITY else not is_identical(piece)


def _speaks(version: VersionFacts, piece: EvidenceFacts) -> bool:
    """Whether a reproduction says something of its run: by the run's own code, of these bytes."""
    is_same_code = piece.figures.get("is_same_code") is not False
    return _is_measured_of(version, piece) and is_same_code


def _newest_by_run(
    version: VersionFacts, pieces: Sequence[EvidenceFacts], resting: Resting
) -> list[EvidenceFacts]:
    """Return the newest piece of each run, newest first; what says nothing of it hides none."""
    by_run: dict[str, list[EvidenceFacts]] = {}
    for piece in pieces:
        if piece.reproduces in {**resting.deciding, **resting.checkable, **resting.relied_on}:
            by_run.setdefault(piece.reproduces, []).append(piece)
    newest = [
        newest_of([piece for piece in of_run if _speaks(version, piece)] or of_run)
        for of_run in by_run.values()
    ]
    return sorted(newest, key=age_of, reverse=True)


def _of_other_runs(gate: Gate, newest: EvidenceFacts, wanted: Kinds) -> GateResult:
    was, verb, run = (
        ("reproduced", "reproduce", "a run")
        if gate.kind == GateKind.REPRODUCTION
        else ("checked", "check", "a backtest")
    )
    asked = ", ".join(sorted(wanted)) or f"{run} that is evidence"
    reason = (
        f"what was {was} is {newest.reproduces or 'not said'}, and no evidence that counts for a "
        f"gate is of it; {verb} one of: {asked}"
    )
    return GateResult(gate.name, Outcome.NOT_MET, reason, (newest.name,))


def _of_run(result: GateResult, piece: EvidenceFacts, kinds: Kinds, run: str) -> GateResult:
    named = ", ".join(sorted(kinds[run]))
    which = piece.reproduces
    if run != which:
        which += f", the same computation as {run}"
    reason = f"{result.reason}; of {which}, which is evidence of: {named}"
    return replace(result, reason=reason)
