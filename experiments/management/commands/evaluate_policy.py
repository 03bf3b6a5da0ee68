"""`manage.py evaluate_policy NAME champion=0.2 challenger=0.8`: what other shares had made."""

from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from crowetrade_site.core.commands import DomainCommand
from experiments import selectors
from experiments.management.shares import shares_of


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
        value = found.value
        told = ", ".join(f"{name} {share:.4g}" for name, share in found.shares.items())
        self.say(f"{found.metric} of {told}: {value.n_outcomes:,} outcomes, worth")
        self.say(f"{value.effective_n:,.0f} under these shares, in {value.n_periods:,} periods.")
        estimates = (value.ips, value.snips, value.doubly_robust, value.gain)
        named = [(one.method, one) for one in estimates]
        named += [(f"{arm}, {one.method}", one) for arm, one in found.compared.items()]
        for name, one in named:
            self.say(f"  {one.difference:>10.4g}  {one.lower:.4g} to {one.upper:.4g}  {name}")
        for arm, why in found.not_compared.items():
            self.say(f"  {arm} is not compared: {why}")
        for warning in dict.fromkeys(text for _, one in named for text in one.warnings):
            self.say(f"  warning: {warning}")
