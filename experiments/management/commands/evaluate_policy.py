"""`manage.py evaluate_policy NAME champion=0.2 challenger=0.8`: what other shares had made."""

from argparse import ArgumentParser
from collections.abc import Iterator
from dataclasses import asdict
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from crowetrade_site.core.commands import DomainCommand
from crowetrade_site.core.tables import aligned
from experiments import selectors
from experiments.management.shares import shares_of
from experiments.plans import MetricSpec
from experiments.plans.wording import (
    write_confidence,
    write_difference,
    write_interval,
    write_share,
    write_value,
)

if TYPE_CHECKING:
    from experiments.statistics.estimates import Estimate

COLUMNS = 100  # of a terminal
CLUSTERS = (
    "Each interval takes a period for one cluster; doubly robust and AIPW leave the first one out."
)


class Command(DomainCommand):
    help = (
        "Say what other shares of the arms would have made of an experiment's units (off-policy "
        "evaluation), and compare the arms as its allocation allows (AIPW). For one look; it "
        "decides nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("experiment", help="name or id")
        parser.add_argument("shares", nargs="+", metavar="ARM=SHARE", help="0 of arms not named")
        parser.add_argument("--confidence", type=float, default=0.95)

    def handle(self, *args: Any, **options: Any) -> None:
        experiment = selectors.find_experiment(options["experiment"])
        found = selectors.evaluate_policy(
            experiment, shares_of(options["shares"]), options["confidence"]
        )
        self.answer(asdict(found))
        value, plan = found.value, selectors.plan_of(experiment)
        told = ", ".join(f"{name} {write_share(share)}" for name, share in found.shares.items())
        self.say(f"{found.metric} of {experiment} under other shares: {told}")
        self.say(
            f"  {value.n_outcomes:,} outcomes in {value.n_periods:,} periods, worth "
            f"{value.effective_n:,.0f} under these shares"
        )
        self.say("")
        for line in aligned([*rows_of(plan.primary, found, plan.control.name)]):
            self.say(f"  {line}")
        notes = [CLUSTERS]
        notes += [f"{arm} is not compared: {why}" for arm, why in found.not_compared.items()]
        warned = dict.fromkeys(text for one in estimates(found) for text in one.warnings)
        for note in (*notes, *(f"warning: {text}" for text in warned)):
            self.say("")
            for line in wrap(note, COLUMNS - 2, subsequent_indent="  "):
                self.say(f"  {line}")


def estimates(found: selectors.PolicyEvaluation) -> list["Estimate"]:
    """Return all that was estimated, the policy's value first."""
    value = found.value
    return [value.ips, value.snips, value.doubly_robust, value.gain, *found.compared.values()]


def rows_of(
    metric: MetricSpec, found: selectors.PolicyEvaluation, control: str
) -> Iterator[list[str]]:
    """Yield the rows of the table: values of the shares, then differences, each with interval."""
    value = found.value
    interval = f"{write_confidence(value.ips.confidence)} interval"
    yield ["Value of these shares", "estimate", interval]
    values = {"IPS": value.ips, "SNIPS": value.snips, "doubly robust": value.doubly_robust}
    for name, one in values.items():
        ends = f"{write_value(metric, one.lower)} to {write_value(metric, one.upper)}"
        yield [f"  {name}", write_value(metric, one.difference), ends]
    yield ["Differences", "", ""]
    differences = {"these shares less the shares as they were, doubly robust": value.gain}
    differences |= {f"{arm} less {control}, AIPW": one for arm, one in found.compared.items()}
    for name, one in differences.items():
        ends = write_interval(metric, one.lower, one.upper)
        yield [f"  {name}", write_difference(metric, one.difference), ends]
