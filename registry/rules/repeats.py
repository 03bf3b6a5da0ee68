"""Reproductions and causality checks: of which runs they must be, and what one that failed means.

One good reproduction suffices, of a run that decides a gate of the stage that is asked for; one
good check, of a backtest that decides one there or below. What failed stops first:

- A **reproduction** is of a computation: it stops where that is relied on, at this stage or at one
  below, until the run that is relied on is itself reproduced.
- A **check** that found a difference is a proof, and one that found none is only the absence of
  one, at cuts that every check draws anew. So nothing takes it back, and it is of the version's
  files and the code that ran them, whatever the run's data, capital or costs.

Both are of the strategy that the files were read as: a space more makes other files of it, and
nothing unseen.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from registry.rules.facts import EvidenceFacts, GateResult, Outcome, VersionFacts
from registry.rules.policies import Gate, GateKind, Policy
from registry.rules.weighing import (
    does_not_count,
    failure_of,
    is_measured_of,
    newest_of,
    of_kind,
    order_of,
    sees_fills_alone,
    weigh_one,
)


@dataclass(frozen=True)
class Rest:
    """The newest measurement for a gate: what rose by it rests on it, whether it counts or not.

    Attributes
    ----------
    is_own : bool
        Whether it is for the stage that is asked for, or where that measures nothing for the
        nearest below; else for any below.
    counts : bool
        Whether it counts for its gate now.
    """

    piece: EvidenceFacts
    is_own: bool
    counts: bool

    @property
    def run(self) -> str:
        """The identifier of what was computed."""
        return self.piece.source.rpartition(":")[2]


def resting_on(
    stage: str, policy: Policy, version: VersionFacts, evidence: Sequence[EvidenceFacts],
    now: datetime,
) -> list[Rest]:  # fmt: skip
    """Return what the measured gates of a stage, and of all below, rest on."""
    own = [(gate, True) for gate in policy.deciding(stage)]
    below = [(gate, False) for gate in policy.measured_below(stage)]
    rests = []
    for gate, is_own in (*own, *below):
        pieces = of_kind(gate, evidence)
        if pieces and is_measured_of(version, newest := newest_of(pieces)):
            counts = not does_not_count(gate, version, newest, now)
            rests.append(Rest(newest, is_own, counts))
    return rests


def data_of(rests: Iterable[Rest]) -> set[tuple[str, str]]:
    """Return the digests of the data of measurements, and of what their imports found."""
    return {(rest.piece.data, rest.piece.quality) for rest in rests if rest.piece.data}


def _kinds(rests: Iterable[Rest]) -> dict[str, list[str]]:
    """Return by run of which kinds its evidence is."""
    kinds: dict[str, set[str]] = {}
    for rest in rests:
        if rest.run:
            kinds.setdefault(rest.run, set()).add(rest.piece.kind)
    return {run: sorted(of_run) for run, of_run in kinds.items()}


def weigh_repeats(
    gate: Gate, version: VersionFacts, pieces: Sequence[EvidenceFacts], rests: Sequence[Rest],
    now: datetime,
) -> GateResult:  # fmt: skip
    """Ask for one that is good, of a run that decides; what failed has stopped before."""
    wanted = _kinds(rest for rest in rests if rest.counts and _may_meet(gate, rest))
    of_wanted = [piece for piece in pieces if piece.reproduces in wanted]
    if not of_wanted:
        return _of_other_runs(gate, newest_of(pieces), wanted)
    # what says nothing of its run hides none that does
    of_wanted.sort(key=lambda piece: (_speaks(version, piece), order_of(piece)), reverse=True)
    weighed = [
        _saying(weigh_one(gate, version, piece, now), _of(piece, wanted[piece.reproduces]))
        for piece in of_wanted
    ]
    return next((result for result in weighed if result.outcome == Outcome.MET), weighed[0])


def _may_meet(gate: Gate, rest: Rest) -> bool:
    """Whether a good reproduction, or check, of a run can meet its gate."""
    is_checked = gate.kind == GateKind.CAUSALITY
    return rest.piece.kind == GateKind.BACKTEST if is_checked else rest.is_own


@dataclass(frozen=True)
class Failed:
    """What failed of a version's bytes, under whatever number.

    Attributes
    ----------
    stopping : sequence of (str, EvidenceFacts)
        Why each stops, in words.
    told : sequence of EvidenceFacts
        What decides nothing any more.
    """

    gate: Gate
    stopping: Sequence[tuple[str, EvidenceFacts]]
    told: Sequence[EvidenceFacts]

    def __bool__(self) -> bool:
        return bool(self.stopping or self.told)

    @property
    def stops(self) -> GateResult | None:
        """What the gate answers where something stops."""
        if not self.stopping:
            return None
        named = tuple(piece.name for _, piece in self.stopping)
        reason = " | ".join(why for why, _ in self.stopping)
        return GateResult(self.gate.name, Outcome.NOT_MET, reason, named)

    def tell(self, result: GateResult) -> GateResult:
        """Add what decides nothing any more, whatever came after it."""
        if not self.told:
            return result
        is_check = self.gate.kind == GateKind.CAUSALITY
        word = "looking ahead" if is_check else "not identical"
        runs = ", ".join(sorted({piece.reproduces for piece in self.told}))
        told = _saying(result, f"{word} before, and deciding nothing now: {runs}")
        return replace(told, told=tuple(sorted(piece.name for piece in self.told)))


def find_failed(
    gate: Gate, version: VersionFacts, pieces: Sequence[EvidenceFacts], rests: Sequence[Rest]
) -> Failed:
    """Tell failures that stop from those that are only told: one verdict for each run.

    Parameters
    ----------
    pieces : sequence of EvidenceFacts
        Of the gate's kind, of all versions of the same bytes or strategy, superseded ones too.
    """
    speaking = sorted((p for p in pieces if _speaks(version, p)), key=order_of, reverse=True)
    concerns = _is_proof_against if gate.kind == GateKind.CAUSALITY else _is_not_taken_back
    stopping: dict[str, tuple[str, EvidenceFacts]] = {}
    told = []
    for piece in speaking:
        why = failure_of(piece)
        if not why:
            continue
        if how := concerns(version, piece, speaking, rests):
            stopping.setdefault(piece.reproduces, (f"{why}; {how}", piece))  # the newest
        else:
            told.append(piece)
    return Failed(gate, tuple(stopping.values()), told)


def _is_not_taken_back(
    _version: VersionFacts, failed: EvidenceFacts, speaking: Sequence[EvidenceFacts],
    rests: Sequence[Rest],
) -> str:  # fmt: skip
    """Say of which run that is relied on it is, unless that was reproduced since."""
    if failed.is_superseded:
        return ""
    reproduced = {
        piece.reproduces
        for piece in speaking
        if not failure_of(piece) and order_of(piece) > order_of(failed)
    }
    return _nearest(failed, [rest for rest in rests if rest.run not in reproduced])


def _is_proof_against(
    version: VersionFacts, found: EvidenceFacts, _speaking: Sequence[EvidenceFacts],
    rests: Sequence[Rest],
) -> str:  # fmt: skip
    """Say what it is a proof against: what is relied on, or what the code in force makes of it.

    Fills at the close that decided them are of the run's settings, and no fault of the files.
    """
    if near := _nearest(found, rests):
        return near
    is_of_fills = sees_fills_alone(found)
    for rest in rests:
        is_alike = not is_of_fills or rest.piece.figures.get("fills_look_ahead") == 1
        if rest.run and rest.piece.code == found.code and is_alike:
            as_what = f", of the same {_shared(version, found)} and code as {rest.run}"
            return _of(found, _kinds(rests)[rest.run], as_what)
    if found.is_current and not is_of_fills:
        return f"of {found.reproduces}, of the same {_shared(version, found)} by the code in force"
    return ""


def _shared(version: VersionFacts, piece: EvidenceFacts) -> str:
    return "files" if is_measured_of(version, piece) else "strategy"


def _nearest(piece: EvidenceFacts, rests: Sequence[Rest]) -> str:
    """Say of which run that is relied on something is, or of which it is the same computation."""
    kinds = _kinds(rests)
    if piece.reproduces in kinds:
        return _of(piece, kinds[piece.reproduces])
    for rest in rests:
        if rest.run and piece.computed and piece.computed == rest.piece.computed:
            return _of(piece, kinds[rest.run], f", the same computation as {rest.run}")
    return ""


def _speaks(version: VersionFacts, piece: EvidenceFacts) -> bool:
    """Whether something is said of a run of these bytes, or of the strategy that they are read as.

    A reproduction says it by the run's own code. A check first came to the run's own result, to
    the last bit, by whatever code.
    """
    by_its_code = piece.figures.get("is_same_code") is not False
    is_of_it = is_measured_of(version, piece) or piece.strategy in version.strategies
    return is_of_it and (by_its_code or piece.kind == GateKind.CAUSALITY)


def _of(piece: EvidenceFacts, kinds: Sequence[str], as_what: str = "") -> str:
    return f"of {piece.reproduces}{as_what}, which is evidence of: {', '.join(kinds)}"


def _of_other_runs(
    gate: Gate, newest: EvidenceFacts, wanted: Mapping[str, Sequence[str]]
) -> GateResult:
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


def _saying(result: GateResult, more: str) -> GateResult:
    return replace(result, reason=f"{result.reason}; {more}")
