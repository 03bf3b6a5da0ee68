"""Units meet their arms: decided by hashing, remembered by an exposure, for ever the same.

An exposure is durable before its arm is told: it is one statement, and the answer waits for its
commit. Of several requests for one unit, the first to be stored decides for all of them.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.contrib.auth.models import User

from crowetrade_site.core import prepared, roles
from crowetrade_site.core.errors import InvalidInput, NotFound, translating
from experiments.assignment import Assignment, AssignmentError, ContextError, Reason, assign
from experiments.assignment.buckets import unit_bytes
from experiments.lifecycle import ExperimentStatus
from experiments.selectors.configuration import (
    Configuration,
    NotRunning,
    configuration,
    kept_configuration,
)
from experiments.services import writing

MOST_UNITS: Final = 1_000
LONGEST_ATTRIBUTES: Final = 10_000  # characters of JSON

# Of a unit that has met its arm, or will meet none: it writes nothing.
_KNOWN = """
SELECT experiment.revision, experiment.status, experiment.design,
       met.arm_id, met.allocation, met.context, met.probability, met.is_override, false
FROM experiments_experiment AS experiment LEFT JOIN LATERAL (
    SELECT arm_id, allocation, context, probability, is_override FROM experiments_exposure
    WHERE experiment_id = experiment.id AND unit = %s LIMIT 1
) AS met ON true
WHERE experiment.public_id = %s
"""
# The same, and it stores and counts what a unit meets that has met none, if the experiment stands
# as it did when that was decided: one way to the database and one commit. Counts come last, so that
# what is locked longest is a row of a shard.
_MEET = """
WITH experiment AS (
    SELECT id, revision, status, design FROM experiments_experiment WHERE public_id = %s
), met AS (
    SELECT arm_id, allocation, context, probability, is_override FROM experiments_exposure
    WHERE experiment_id = (SELECT id FROM experiment) AND unit = %s
), made AS (
    INSERT INTO experiments_exposure
    (experiment_id, unit, arm_id, allocation, context, probability, is_override, at, attributes)
    SELECT id, %s, %s, %s, %s, %s, %s, %s, %s::jsonb FROM experiment
    WHERE revision = %s AND status = 'running' AND NOT EXISTS (SELECT FROM met)
    ON CONFLICT (experiment_id, unit) DO NOTHING
    RETURNING id, experiment_id, allocation, arm_id, is_override
), counted AS (
    INSERT INTO experiments_exposurecount AS kept (experiment_id, allocation, arm_id, shard, n)
    SELECT experiment_id, allocation, arm_id, %s, 1 FROM made WHERE NOT is_override
    ON CONFLICT (experiment_id, allocation, arm_id, shard) DO UPDATE SET n = kept.n + 1
)
SELECT revision, status, design, met.arm_id, met.allocation, met.context, met.probability,
       met.is_override, made.id IS NOT NULL
FROM experiment LEFT JOIN met ON true LEFT JOIN made ON true
"""
_STATE = """
SELECT revision, status, design FROM experiments_experiment WHERE public_id = %s
"""
_MET = """
SELECT asked.unit, met.arm_id, met.allocation, met.context, met.probability, met.is_override
FROM unnest(%s::text[]) AS asked(unit), LATERAL (
    SELECT arm_id, allocation, context, probability, is_override FROM experiments_exposure
    WHERE experiment_id = %s AND unit = asked.unit LIMIT 1
) AS met
"""
_EXPOSE_MANY = """
WITH made AS (
    INSERT INTO experiments_exposure
    (experiment_id, unit, arm_id, allocation, context, probability, is_override, at, attributes)
    SELECT experiment.id, unit, arm, allocation, context, probability, is_override, %s,
           attributes::jsonb
    FROM unnest(%s::text[], %s::bigint[], %s::bigint[], %s::text[], %s::float8[], %s::bool[],
                %s::text[])
    AS given(unit, arm, allocation, context, probability, is_override, attributes),
       experiments_experiment AS experiment
    WHERE experiment.id = %s AND experiment.revision = %s AND experiment.status = 'running'
    ON CONFLICT (experiment_id, unit) DO NOTHING
    RETURNING experiment_id, unit, allocation, arm_id, is_override
), counted AS (
    INSERT INTO experiments_exposurecount AS kept (experiment_id, allocation, arm_id, shard, n)
    SELECT experiment_id, allocation, arm_id, %s, count(*) FROM made WHERE NOT is_override
    GROUP BY experiment_id, allocation, arm_id ORDER BY allocation, arm_id
    ON CONFLICT (experiment_id, allocation, arm_id, shard) DO UPDATE SET n = kept.n + EXCLUDED.n
)
SELECT unit FROM made
"""


class UnknownContext(InvalidInput):
    """A unit came in no context that has shares."""

    slug, title = "unknown-context", "The unit came in no context that has shares"


@dataclass(frozen=True, slots=True)
class Meeting:
    """What a unit met.

    Attributes
    ----------
    arm : str or None
        None: the unit takes no part, for the reason given, and nothing was stored.
    allocation : int or None
        Number of the shares that were in force when it met its arm.
    context : str or None
        Whose shares these were; None where shares depend on none, and by an override.
    reason : str
        ``assigned`` or ``override``; of a unit without an arm ``not_targeted``,
        ``outside_layer_range``, ``held_out`` or ``not_ramped``.
    is_new : bool
        Whether it met its arm just now.
    """

    unit: str
    arm: str | None
    probability: float | None
    allocation: int | None
    reason: str
    context: str | None = None
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit that asks for its arm, with what the targeting may want to know of it."""

    name: str
    attributes: Mapping[str, Any]


def assign_unit(*, experiment_id: UUID, unit: Unit, actor: User, at: datetime) -> Meeting:
    """Return the arm of a unit; what it meets once, it meets always.

    Raises
    ------
    NotFound, Forbidden
        There is no such experiment (404), or the actor may not feed experiments (403).
    InvalidInput
        The unit's name or its attributes are none (422).
    UnknownContext
        Shares depend on an attribute that the unit does not have, or has of another value, and the
        plan names no context for it (422). Not said of a unit that has met its arm: it keeps it.
    NotRunning
        It does not run, or is a shadow experiment, whose arms see every period (409).
    """
    roles.require(actor, "experiments:feed")
    text = _checked(unit)
    setup = kept_configuration(experiment_id)
    while True:  # again where the experiment has changed, or another request was first
        decided = _foreseen(setup, unit, at)
        row = _ask(experiment_id, unit.name, text, setup, decided, at)
        current = _open(experiment_id, row)
        *met, is_made = row[3:]
        if met[0] is not None:
            return _met(current, unit.name, *met)
        if setup is None or setup.revision != current.revision:
            setup = current
            continue
        decided = decided or _decide(setup, unit, at)
        if is_made or decided.arm is None:
            return _meeting(setup, unit.name, decided)


def _foreseen(setup: Configuration | None, unit: Unit, at: datetime) -> Assignment | None:
    """Return what a unit would meet by what the process knows; None where that is no answer."""
    if setup is None or setup.assignment is None:
        return None
    try:
        return assign(unit.name, unit.attributes, setup.assignment, at)
    except AssignmentError:
        return None  # of no account where it has met its arm


def _ask(
    experiment_id: UUID, unit: str, text: str, setup: Configuration | None,
    decided: Assignment | None, at: datetime,
) -> Any:  # fmt: skip
    """Return the experiment's state and what the unit has met; store what it would meet."""
    if setup is None or decided is None or decided.arm is None:
        return prepared.first(_KNOWN, unit, experiment_id)
    is_override = decided.reason is Reason.OVERRIDE
    return prepared.first(
        _MEET, experiment_id, unit, unit, setup.arm_id(decided.arm),
        setup.allocation(decided.context), decided.context or "", decided.probability, is_override,
        at, text, setup.revision, writing.shard(),
    )  # fmt: skip


def assign_units(
    *, experiment_id: UUID, units: Sequence[Unit], actor: User, at: datetime
) -> list[Meeting]:
    """Return the arms of several units, in their order; all new exposures are stored together.

    Raises
    ------
    NotFound, Forbidden, NotRunning
        As `assign_unit`.
    InvalidInput
        As `assign_unit`; or there are none, too many, or one twice (422).
    """
    roles.require(actor, "experiments:feed")
    _require_units(units)
    texts = {unit.name: _checked(unit) for unit in units}
    found: dict[str, Meeting] = {}
    while True:  # again where the experiment has changed meanwhile, which stores nothing
        setup = _open(experiment_id, prepared.first(_STATE, experiment_id))
        found |= _stored(setup, [name for name in texts if name not in found])
        decided = {unit.name: _decide(setup, unit, at) for unit in units if unit.name not in found}
        new = sorted(name for name, one in decided.items() if one.arm is not None)
        made = _expose(setup, new, decided, texts, at)
        told = {name: _meeting(setup, name, decided[name]) for name in {*decided} - {*new} | made}
        found |= told | _stored(setup, [name for name in new if name not in made])
        if len(found) == len(units):
            return [found[unit.name] for unit in units]


def _open(experiment_id: UUID, row: tuple[Any, ...] | None) -> Configuration:
    if row is None:
        raise NotFound(f"There is no experiment {experiment_id}.")
    revision, status, design = row[:3]
    if design != "assigned":
        raise NotRunning("A shadow experiment assigns nothing: all its arms see every period.")
    if status != ExperimentStatus.RUNNING:
        raise NotRunning(f"The experiment is {status}; units meet their arms while it runs.")
    return configuration(experiment_id, revision)


def _decide(setup: Configuration, unit: Unit, at: datetime) -> Assignment:
    if setup.assignment is None:
        raise NotRunning("A shadow experiment assigns nothing: all its arms see every period.")
    try:
        with translating(AssignmentError, InvalidInput):
            return assign(unit.name, unit.attributes, setup.assignment, at)
    except InvalidInput as refusal:
        if isinstance(refusal.__cause__, ContextError):  # which of a thousand units
            raise UnknownContext(f"{unit.name}: {refusal.detail}", unit=unit.name) from None
        raise


def _stored(setup: Configuration, names: list[str]) -> dict[str, Meeting]:
    if not names:
        return {}
    return {row[0]: _met(setup, *row) for row in prepared.rows(_MET, names, setup.pk)}


def _expose(
    setup: Configuration, names: list[str], decided: Mapping[str, Assignment],
    texts: Mapping[str, str], at: datetime,
) -> set[str]:  # fmt: skip
    """Store exposures, in the order of the units, so that two batches wait for each other once."""
    if not names:
        return set()
    some = [decided[name] for name in names]
    arms = [setup.arm_id(one.arm or "") for one in some]
    chances = [one.probability for one in some]
    overrides = [one.reason is Reason.OVERRIDE for one in some]
    attributes = [texts[name] for name in names]
    numbers = [setup.allocation(one.context) for one in some]
    contexts = [one.context or "" for one in some]
    values = (at, names, arms, numbers, contexts, chances, overrides, attributes)
    stored = prepared.rows(
        _EXPOSE_MANY, *values, setup.pk, setup.revision, writing.shard()
    )  # fmt: skip
    return {name for (name,) in stored}


def _meeting(setup: Configuration, unit: str, decided: Assignment) -> Meeting:
    """Return what a unit meets just now, or why it takes no part."""
    if decided.arm is None:
        return Meeting(unit, None, None, None, decided.reason)
    return Meeting(
        unit, decided.arm, decided.probability, setup.allocation(decided.context), decided.reason,
        decided.context, is_new=True,
    )  # fmt: skip


def _met(
    setup: Configuration, unit: str, arm_id: int, allocation: int, context: str,
    probability: float, is_override: bool,
) -> Meeting:  # fmt: skip
    reason = Reason.OVERRIDE if is_override else Reason.ASSIGNED
    arm = setup.arm_name(arm_id)
    return Meeting(unit, arm, probability, allocation, reason, context or None)


def _require_units(units: Sequence[Unit]) -> None:
    if not 0 < len(units) <= MOST_UNITS:
        raise InvalidInput(f"Ask for 1 to {MOST_UNITS} units at a time, not {len(units)}.")
    if len({unit.name for unit in units}) < len(units):
        raise InvalidInput("A unit is asked for twice.")


def _checked(unit: Unit) -> str:
    """Return a unit's attributes as they are stored.

    Raises
    ------
    InvalidInput
        Its name is none, or the attributes cannot be kept (422).
    """
    with translating(AssignmentError, InvalidInput):
        unit_bytes(unit.name)
    if not unit.attributes:
        return "{}"
    try:
        text = json.dumps(unit.attributes, allow_nan=False, ensure_ascii=False)
        text.encode()
    except (ValueError, RecursionError):  # NaN, or half a character
        raise InvalidInput("The attributes are no JSON that can be kept.") from None
    if len(text) > LONGEST_ATTRIBUTES or "\\u0000" in text:
        raise InvalidInput(
            f"The attributes of a unit have at most {LONGEST_ATTRIBUTES} characters, none of them "
            "a zero byte."
        )
    return text
