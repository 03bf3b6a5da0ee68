"""What is said of a plan's prior. Light to import: pages say it, workers compute with it."""

from experiments.plans.document import ExperimentPlan
from experiments.plans.wording import write_difference


def prior_notes(plan: ExperimentPlan) -> list[str]:
    """Return what the priors of a plan rest on; nothing of one that asks for none."""
    asked = plan.analysis.prior
    if asked is None:
        return []
    if asked.pinned is None:
        return ["At the start the prior of the Bayesian figures is taken from what is concluded."]
    chosen = " that the plan names" if asked.experiments is not None else ""
    notes = []
    for metric in plan.primaries:
        one = asked.of(metric.name)
        if one is not None:
            notes.append(
                f"The Bayesian figures of {metric.name} have a prior from {one.n_experiments} "
                f"concluded experiments{chosen} ({len(one.effects)} differences): "
                f"{write_difference(metric, one.mean)} with a deviation of "
                f"{write_difference(metric, one.deviation)}. No interval and no verdict reads it."
            )
    return notes
