"""What the endpoints of experiments take and give."""

from experiments.api.serializers.analyses import (
    AnalysisDetail,
    AnalysisQuery,
    AnalysisRow,
    PeriodSums,
    PolicyQuery,
    PolicyValueRow,
    StatisticsQuery,
)
from experiments.api.serializers.intake import (
    ExportQuery,
    MeetingRow,
    Meetings,
    OutcomeBatch,
    OutcomesExportQuery,
    ReceiptRow,
    UnitRequest,
)
from experiments.api.serializers.life import (
    Conclusion,
    PlanRequest,
    PlanToSize,
    RevisionRequest,
    Shares,
    Start,
    StatedReason,
)
from experiments.api.serializers.records import (
    AllocationRow,
    ExperimentDetail,
    ExperimentRow,
    ExposureRow,
    Sized,
)

__all__ = [
    "AllocationRow",
    "AnalysisDetail",
    "AnalysisQuery",
    "AnalysisRow",
    "Conclusion",
    "ExperimentDetail",
    "ExperimentRow",
    "ExportQuery",
    "ExposureRow",
    "MeetingRow",
    "Meetings",
    "OutcomeBatch",
    "OutcomesExportQuery",
    "PeriodSums",
    "PlanRequest",
    "PlanToSize",
    "PolicyQuery",
    "PolicyValueRow",
    "ReceiptRow",
    "RevisionRequest",
    "Shares",
    "Sized",
    "Start",
    "StatedReason",
    "StatisticsQuery",
    "UnitRequest",
]
