"""Datasets and runs in the admin."""

from backtests.admin.datasets import DatasetAdmin
from backtests.admin.runs import RunAdmin

__all__ = ["DatasetAdmin", "RunAdmin"]
