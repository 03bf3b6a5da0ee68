"""What is sent of outcomes: read into columns, judged row by row, added up. No framework."""

from experiments.intake.columns import Sent, of_rows
from experiments.intake.errors import IntakeError, TooManyOutcomes
from experiments.intake.judging import Judged, Reason, Refusal, judge, refusals
from experiments.intake.sums import Bins, Sums, bins_of, sums_of
from experiments.intake.terms import MetricTerms, Terms, terms_of

__all__ = [
    "Bins",
    "IntakeError",
    "Judged",
    "MetricTerms",
    "Reason",
    "Refusal",
    "Sent",
    "Sums",
    "Terms",
    "TooManyOutcomes",
    "bins_of",
    "judge",
    "of_rows",
    "refusals",
    "sums_of",
    "terms_of",
]
