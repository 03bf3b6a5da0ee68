"""Layers: which part of its units an experiment takes at its start."""

import secrets
from typing import Any

from crowetrade_site.core.errors import Conflict, translating
from experiments.assignment import LayerError, Range, allocate_ranges
from experiments.lifecycle import ExperimentStatus
from experiments.models import Experiment, Layer
from experiments.plans import ExperimentPlan

_LIVE = (ExperimentStatus.RUNNING, ExperimentStatus.PAUSED)


def take_ranges(experiment: Experiment, plan: ExperimentPlan) -> dict[str, Any]:
    """Return the columns of an experiment that takes its part of a layer, locking the layer.

    Experiments that are over have given theirs back. Without a layer there is nobody to share
    with: the part is that of the experiment's own units.

    Raises
    ------
    Conflict
        The layer has no room for it, or another holdout (409).
    """
    asked = plan.assignment
    if plan.design != "assigned" or asked.layer is None:
        return {"ranges": [[0.0, asked.share]]}
    layer = _layer_of(asked.layer, asked.holdout)
    others = layer.experiments.filter(status__in=_LIVE).exclude(pk=experiment.pk)
    taken = [Range(*pair) for ranges in others.values_list("ranges", flat=True) for pair in ranges]
    if layer.holdout:
        taken.append(Range(round(1.0 - layer.holdout, 6), 1.0))
    with translating(LayerError, Conflict):
        ranges = allocate_ranges(asked.share, taken)
    return {"layer": layer, "ranges": [list(one) for one in ranges]}


def _layer_of(name: str, holdout: float | None) -> Layer:
    """Return a layer, locked to the end of the transaction; made if it is named first."""
    Layer.objects.get_or_create(
        name=name, defaults={"salt": secrets.token_hex(16), "holdout": holdout or 0.0}
    )
    layer = Layer.objects.select_for_update().get(name=name)
    if holdout is not None and holdout != layer.holdout:
        raise Conflict(
            f"The layer {name} has a holdout of {layer.holdout:g}, not {holdout:g}: it is as old "
            "as the layer and never changes."
        )
    return layer
