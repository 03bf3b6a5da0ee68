"""A run's report: one HTML file that opens without a network."""

from pathlib import Path
from typing import Any

import yaml
from django.contrib.staticfiles import finders
from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe
from pydantic import BaseModel, ValidationError

from backtests.models import Run
from backtests.runspec import RunSpec
from backtests.selectors.runs import describe_run
from backtests.selectors.tearsheet import get_tearsheet
from crowetrade_site.core.errors import Conflict
from strategies.selectors import get_spec

STYLES = "backtests/tearsheet.css"
SCRIPTS = ("backtests/lightweight-charts-5.2.1.js", "backtests/tearsheet.js")


def render_report(run: Run) -> str:
    """Return the report of a finished run.

    Raises
    ------
    Conflict
        The run has not succeeded, so there is nothing to report (409).
    """
    sheet = get_tearsheet(run)
    if sheet is None:
        raise Conflict(f"The run is {run.status}; only a run that succeeded has a report.")
    return render_to_string(
        "backtests/report.html",
        {
            "sheet": sheet,
            "run": run,
            "title": describe_run(run),
            "spec": spec_text(run),
            "style": _inline(STYLES),
            "scripts": [_inline(name) for name in SCRIPTS],
        },
    )


def spec_text(run: Run) -> str:
    """Return a run's spec as YAML, in the order its schema has it.

    One that present rules would refuse is shown as it was stored.
    """
    try:
        spec = _shown(RunSpec.model_validate(run.spec))
    except ValidationError:
        spec = dict(run.spec)
    spec["strategy"] = get_spec(spec["strategy"]).model_dump(mode="json")
    return yaml.safe_dump(spec, sort_keys=False, allow_unicode=True)


def _shown(part: BaseModel) -> dict[str, Any]:
    """Return a part's values without the nulls that only say that a key was left out."""
    plain = part.model_dump(mode="json")
    shown = {}
    for name, field in type(part).model_fields.items():
        value = getattr(part, name)
        if value is not None or field.default is not None:
            shown[name] = _shown(value) if isinstance(value, BaseModel) else plain[name]
    return shown


def _inline(name: str) -> SafeString:
    """Return a static file of ours as text for a <style> or <script> element."""
    found = finders.find(name)
    if not found:
        raise FileNotFoundError(f"The static file {name} is missing from the installation.")
    return mark_safe(Path(str(found)).read_text())  # noqa: S308 - our own files, not user input
