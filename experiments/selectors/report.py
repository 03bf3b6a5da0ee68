"""An experiment's report: one HTML file that opens without a network."""

import json
from pathlib import Path

from django.contrib.staticfiles import finders
from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe

from crowetrade_site.core.errors import Conflict
from experiments.models import Experiment
from experiments.selectors.board import get_board

STYLES = "crowetrade/sheet.css"


def render_report(experiment: Experiment) -> str:
    """Return the report of an experiment that has begun.

    Raises
    ------
    Conflict
        It is a draft: there is nothing to report (409).
    """
    if experiment.started_at is None:
        raise Conflict(f"{experiment} has not started: there is nothing to report.")
    return render_to_string(
        "experiments/report.html",
        {
            "board": get_board(experiment),
            "plan_text": json.dumps(experiment.plan, indent=2, ensure_ascii=False),
            "style": _style(),
        },
    )


def _style() -> SafeString:
    found = finders.find(STYLES)
    if not found:
        raise FileNotFoundError(f"The static file {STYLES} is missing from the installation.")
    return mark_safe(Path(str(found)).read_text())  # noqa: S308 - our own file, not user input
