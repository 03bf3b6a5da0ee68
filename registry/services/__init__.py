"""Web-side verbs of the registry: check, move, audit, enqueue."""

from registry.jobs import read_parameters_with, report_tampering, require_intact
from registry.services.catalog import (
    create_model,
    delete_alias,
    delete_model,
    rename_model,
    set_alias,
    tag_model,
    transfer_model,
    untag_model,
    update_model,
)
from registry.services.conversions import convert_version
from registry.services.evidence import (
    Measured,
    attest_evidence,
    record_measurements,
)
from registry.services.loading import load, remembering_other_bytes
from registry.services.policies import assign_policy, store_policy
from registry.services.promotions import (
    approve_promotion,
    execute_promotion,
    reject_promotion,
    request_promotion,
    withdraw_promotion,
)
from registry.services.refusals import (
    APPROVAL_REFUSED,
    EXECUTION_REFUSED,
    remember_refusal,
    remember_refused_request,
)
from registry.services.serving import inspect_file, open_file
from registry.services.signatures import attach_signature
from registry.services.stages import move_version, roll_back
from registry.services.steps import means_production, require_role
from registry.services.trust import approve_type, propose_type, revoke_type
from registry.services.uploads import (
    abandon_upload,
    collect_files,
    collect_files_by_rule,
    complete_upload,
    loose_if_refused,
    release_object,
    require_may_store,
    start_upload,
    store_file,
)
from registry.services.versions import (
    SameFiles,
    delete_version,
    grant_waiver,
    hold_version,
    register_version,
    revoke_waiver,
    tag_version,
    untag_version,
    update_version,
)

__all__ = [
    "APPROVAL_REFUSED",
    "EXECUTION_REFUSED",
    "Measured",
    "SameFiles",
    "abandon_upload",
    "approve_promotion",
    "approve_type",
    "assign_policy",
    "attach_signature",
    "attest_evidence",
    "collect_files",
    "collect_files_by_rule",
    "complete_upload",
    "convert_version",
    "create_model",
    "delete_alias",
    "delete_model",
    "delete_version",
    "execute_promotion",
    "grant_waiver",
    "hold_version",
    "inspect_file",
    "load",
    "loose_if_refused",
    "means_production",
    "move_version",
    "open_file",
    "propose_type",
    "read_parameters_with",
    "record_measurements",
    "register_version",
    "reject_promotion",
    "release_object",
    "remember_refusal",
    "remember_refused_request",
    "remembering_other_bytes",
    "rename_model",
    "report_tampering",
    "request_promotion",
    "require_intact",
    "require_may_store",
    "require_role",
    "revoke_type",
    "revoke_waiver",
    "roll_back",
    "set_alias",
    "start_upload",
    "store_file",
    "store_policy",
    "tag_model",
    "tag_version",
    "transfer_model",
    "untag_model",
    "untag_version",
    "update_model",
    "update_version",
    "withdraw_promotion",
]
