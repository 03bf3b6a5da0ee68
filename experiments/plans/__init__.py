"""Plans of experiments: the document, what an analysis of it finds, and the verdict.

Light to import: what computes is in `analysis`, `allocating` and `decisions`, which workers import.
"""

from experiments.plans.document import ExperimentPlan, duration
from experiments.plans.errors import PlanError
from experiments.plans.findings import (
    ArmFigures,
    ArmStanding,
    Comparison,
    ContextFindings,
    Cost,
    Findings,
    MetricFindings,
    Mismatch,
    Path,
)
from experiments.plans.sections import MetricSpec
from experiments.plans.verdicts import Decision, GuardrailState, Verdict

__all__ = [
    "ArmFigures",
    "ArmStanding",
    "Comparison",
    "ContextFindings",
    "Cost",
    "Decision",
    "ExperimentPlan",
    "Findings",
    "GuardrailState",
    "MetricFindings",
    "MetricSpec",
    "Mismatch",
    "Path",
    "PlanError",
    "Verdict",
    "duration",
]
