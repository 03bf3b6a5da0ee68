"""Promotion policies: what each stage asks for, as a strict document."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class GateKind(StrEnum):
    """What a gate looks at."""

    # what the registry knows by itself
    ARTIFACT_SCAN = "artifact_scan"
    INTEGRITY = "integrity"
    SIGNATURE_SCHEMA = "signature_schema"
    MODEL_CARD_COMPLETE = "model_card_complete"
    # measured evidence
    BACKTEST = "backtest"
    WALK_FORWARD = "walk_forward"
    DEFLATED_SHARPE = "deflated_sharpe"
    PBO = "pbo"
    CAUSALITY = "causality"
    REPRODUCTION = "reproduction"
    EXPERIMENT = "experiment"
    STRESS = "stress"
    DATA_QUALITY = "data_quality"
    KILL_DRILL = "kill_drill"
    # attested by a person
    MANUAL = "manual"


BUILT_IN = frozenset(
    {
        GateKind.ARTIFACT_SCAN, GateKind.INTEGRITY, GateKind.SIGNATURE_SCHEMA,
        GateKind.MODEL_CARD_COMPLETE,
    }
)  # fmt: skip
OF_NO_DATA = BUILT_IN | {GateKind.MANUAL, GateKind.EXPERIMENT, GateKind.REPRODUCTION}
# No job of the platform measures these.
UNMEASURED = frozenset({GateKind.KILL_DRILL})
# Told of runs that are evidence by something else, and of their data: nothing rests on these alone.
OF_A_RUN = frozenset({GateKind.REPRODUCTION, GateKind.CAUSALITY})
OF_OTHER_EVIDENCE = OF_A_RUN | {GateKind.DATA_QUALITY}
# What no run is measured for: nothing of it could be reproduced, or checked.
OF_NO_RUN = OF_NO_DATA | OF_OTHER_EVIDENCE
_ORDER = ("production", "staging", "testing")
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Days = Annotated[int, Field(ge=1, le=3650)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Gate(_Strict):
    """One thing that is asked for.

    Attributes
    ----------
    minimum, maximum : dict of str to float
        Figures of the evidence, and the least or the most that they may be.
    max_age_days : int, optional
        Older evidence does not count.
    unseen_data : bool
        Evidence on data that the version was made from does not count: on the same instruments in
        the same time, under whatever digest.
    datasets : tuple of str
        Digests: evidence on other data does not count. Empty: it may be any.
    topic : str
        Of a manual gate: what is attested, such as ``risk-committee``.
    """

    kind: GateKind
    minimum: dict[str, float] = Field(default_factory=dict)
    maximum: dict[str, float] = Field(default_factory=dict)
    max_age_days: Days | None = None
    unseen_data: bool = False
    datasets: tuple[Digest, ...] = ()
    topic: Annotated[str, Field(max_length=80)] = ""

    @model_validator(mode="after")
    def _fits_its_kind(self) -> "Gate":
        if self.kind in BUILT_IN and (self.minimum or self.maximum or self.max_age_days):
            raise ValueError(f"the gate {self.kind} has no figures and no age")
        if (self.unseen_data or self.datasets) and self.kind in OF_NO_DATA:
            raise ValueError(f"the gate {self.kind} is not measured on a dataset of its own")
        if (self.kind == GateKind.MANUAL) != bool(self.topic):
            raise ValueError("a manual gate names its topic, and no other gate does")
        return self

    def refusals(self) -> list[str]:
        """Return why no evidence can ever meet it, or what it asks for in vain."""
        found = [
            f"asks for {name} of at least {least:.6g} and at most {self.maximum[name]:.6g}"
            for name, least in self.minimum.items()
            if least > self.maximum.get(name, least)
        ]
        if (self.unseen_data or self.datasets) and self.kind in OF_A_RUN:
            found.append("has no data of its own to be asked for: ask for them of its backtest")
        return found

    @property
    def asks_unseen(self) -> bool:
        """Whether its evidence must be of other data; a reproduction or check has its run's."""
        return self.unseen_data and self.kind not in OF_A_RUN

    @property
    def name(self) -> str:
        """What the gate is called in a report."""
        return f"{self.kind}:{self.topic}" if self.topic else str(self.kind)


class Approvals(_Strict):
    """How many people must agree, other than requester and author."""

    number: Annotated[int, Field(ge=0, le=10)] = 0
    roles: tuple[Literal["validator", "admin"], ...] = ("validator", "admin")


class StagePolicy(_Strict):
    """What one stage asks for."""

    gates: tuple[Gate, ...] = ()
    approvals: Approvals = Approvals()

    @property
    def measured(self) -> tuple[Gate, ...]:
        """The gates that runs are measured for."""
        return tuple(gate for gate in self.gates if gate.kind not in OF_NO_RUN)

    @model_validator(mode="after")
    def _names_each_gate_once(self) -> "StagePolicy":
        names = [gate.name for gate in self.gates]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"the gate {min(twice)} is named twice")
        return self


class Policy(_Strict):
    """What every stage asks for, and how long a request lives."""

    testing: StagePolicy = StagePolicy()
    staging: StagePolicy = StagePolicy()
    production: StagePolicy = StagePolicy()
    request_days: Days = 30

    @model_validator(mode="after")
    def _keeps_four_eyes(self) -> "Policy":
        if self.staging.approvals.number < 1:
            raise ValueError("staging needs at least one approval")
        if self.production.approvals.number < 2:
            raise ValueError("production needs at least two approvals")
        return self

    def refusals(self) -> list[str]:
        """Return why a policy is not stored: what nothing can ever meet, or says nothing.

        No rule of the document itself: policies that were stored before stay readable.
        """
        each = [(stage, self.of(stage)) for stage in _ORDER]
        return [
            *(f"{gate.name} of {stage} {why}" for stage, asked in each
              for gate in asked.gates for why in gate.refusals()),
            *(f"nobody has a role that decides about {stage}: name one in its approvals"
              for stage, asked in each if not asked.approvals.roles),
            *(why for stage, _ in each for why in self._never_met(stage)),
        ]  # fmt: skip

    def _never_met(self, stage: str) -> list[str]:
        """Return a sentence for each gate that the others make impossible."""
        found = []
        kinds = {gate.kind for gate in self.of(stage).gates}
        measured = {gate.kind for gate in (*self.of(stage).measured, *self.measured_below(stage))}
        if GateKind.CAUSALITY in kinds and GateKind.BACKTEST not in measured:
            found.append(
                f"the gate causality of {stage} can never be met: it is of a backtest that "
                "decides a gate, so that stage or one below needs a gate of the kind backtest"
            )
        if GateKind.REPRODUCTION in kinds and not measured:
            found.append(
                f"the gate reproduction of {stage} can never be met: it is of a run that "
                "decides a gate, so that stage or one below needs one that a run is measured "
                "for, such as backtest"
            )
        return found

    def of(self, stage: str) -> StagePolicy:
        """Return what a stage asks for; nothing for stages that ask for nothing."""
        found = {
            "testing": self.testing, "staging": self.staging, "production": self.production
        }.get(stage)  # fmt: skip
        return StagePolicy() if found is None else found

    def deciding(self, stage: str) -> tuple[Gate, ...]:
        """Return the measured gates of a stage, or of the nearest below that has any."""
        asked = (one.measured for one in (self.of(stage), *self._below(stage)))
        return next((gates for gates in asked if gates), ())

    def measured_below(self, stage: str) -> tuple[Gate, ...]:
        """Return the measured gates of every stage below."""
        return tuple(gate for one in self._below(stage) for gate in one.measured)

    def _below(self, stage: str) -> tuple[StagePolicy, ...]:
        """Return what the stages below ask for, the nearest first."""
        names = _ORDER[_ORDER.index(stage) + 1 :] if stage in _ORDER else ()
        return tuple(self.of(one) for one in names)
