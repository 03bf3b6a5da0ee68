"""Store the second version of the default policy, where the platform's own first is in force.

It takes no figures of fills that nobody can trade, asks for a check for look-ahead and for how
sound the data are. Where people stored a policy of that name, theirs stays in force.
"""

import hashlib
import json
from datetime import UTC, datetime
from uuid import uuid4

from django.db import migrations

FIRST = "1c9a414ceaf260ac7426beeeec76ce31ede78aa4e69e6206fdb74e5952cd75eb"
REASON = "No fills that look ahead; a causality check; data of which an import found no errors."
TEXT = """\
# What a version must show before it goes up. Stored versions never change; store a new one.
testing:
  gates:
    - kind: artifact_scan          # the files were looked at, and nothing hostile was found
    - kind: integrity              # every file has the bytes it had when it was registered
    - kind: signature_schema       # inputs and outputs are described
    - kind: model_card_complete    # owner, desk, operators, purpose, tier, limits, review date
staging:
  gates:
    - kind: integrity
    - kind: backtest
      minimum: {n_bars: 252}
      maximum: {fills_look_ahead: 0}   # no fills at the close that decided them
      max_age_days: 180
    - kind: walk_forward
      minimum: {sharpe: 0.0}
      maximum: {fills_look_ahead: 0}
      max_age_days: 180
    - kind: deflated_sharpe
      minimum: {probability: 0.95}
      maximum: {fills_look_ahead: 0}
      max_age_days: 180
    - kind: causality              # the backtest was played on other futures
      max_age_days: 180
    - kind: data_quality           # of all data that this rests on
      maximum: {n_errors: 0}
  approvals: {number: 1}
production:
  gates:
    - kind: integrity
    - kind: reproduction           # the evidence was computed again, byte for byte
      max_age_days: 90
    - kind: pbo
      maximum: {probability: 0.5, fills_look_ahead: 0}
      max_age_days: 180
    - kind: manual
      topic: kill-switch-drill
      max_age_days: 365
  approvals: {number: 2}
request_days: 30
"""


def _gate(kind, **more):
    return {
        "kind": kind, "minimum": {}, "maximum": {}, "max_age_days": None, "unseen_data": False,
        "datasets": [], "topic": "",
    } | more  # fmt: skip


def _stage(number, *gates):
    return {"gates": list(gates), "approvals": {"number": number, "roles": ["validator", "admin"]}}


_TRADED = {"fills_look_ahead": 0.0}
DOCUMENT = {
    "testing": _stage(
        0, _gate("artifact_scan"), _gate("integrity"), _gate("signature_schema"),
        _gate("model_card_complete"),
    ),
    "staging": _stage(
        1, _gate("integrity"),
        _gate("backtest", minimum={"n_bars": 252.0}, maximum=_TRADED, max_age_days=180),
        _gate("walk_forward", minimum={"sharpe": 0.0}, maximum=_TRADED, max_age_days=180),
        _gate("deflated_sharpe", minimum={"probability": 0.95}, maximum=_TRADED, max_age_days=180),
        _gate("causality", max_age_days=180),
        _gate("data_quality", maximum={"n_errors": 0.0}),
    ),
    "production": _stage(
        2, _gate("integrity"), _gate("reproduction", max_age_days=90),
        _gate("pbo", maximum={"probability": 0.5, **_TRADED}, max_age_days=180),
        _gate("manual", topic="kill-switch-drill", max_age_days=365),
    ),
    "request_days": 30,
}  # fmt: skip


def store(apps, _schema_editor):
    policies = apps.get_model("registry", "PromotionPolicy").objects
    newest = policies.filter(name="default").order_by("-number").first()
    if newest is None or newest.stored_by_id is not None or newest.digest != FIRST:
        return
    stored = policies.create(
        name="default", number=newest.number + 1, text=TEXT, document=DOCUMENT, reason=REASON,
        digest=hashlib.sha256(_canonical(DOCUMENT).encode()).hexdigest(),
    )  # fmt: skip
    events = apps.get_model("core", "AuditEvent").objects
    if events.exists():  # where nobody has done anything yet there is no change to tell
        _record(events, stored, newest)


def _record(events, stored, before):
    """Tell the trail as the service does when people store one."""
    at = datetime.now(UTC)
    searchable = {
        "event_id": str(uuid4()), "verb": "registry.policy.stored", "actor": "system",
        "reason": REASON, "request_id": "", "object_type": "registry.PromotionPolicy",
        "object_id": str(stored.public_id),
    }  # fmt: skip
    stamp = at.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
    told = {
        "at": stamp, "roles": [], "before": {"digest": before.digest},
        "after": {"name": stored.name, "number": stored.number, "digest": stored.digest},
    }  # fmt: skip
    text = _canonical(searchable | told)
    leaf = hashlib.sha256(b"\x00" + text.encode()).digest()
    events.create(**searchable, at=at, canonical=text, leaf=leaf)


def _canonical(document):
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


class Migration(migrations.Migration):
    dependencies = [
        ("registry", "0014_missing_values_of_conversions"),
        ("core", "0002_audit_append_only"),
    ]
    operations = [migrations.RunPython(store, migrations.RunPython.noop)]
