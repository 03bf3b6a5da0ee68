"""Store the policy that judges models to which no other was assigned."""

import hashlib
import json

from django.db import migrations

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
      max_age_days: 180
    - kind: walk_forward
      minimum: {sharpe: 0.0}
      max_age_days: 180
    - kind: deflated_sharpe
      minimum: {probability: 0.95}
      max_age_days: 180
  approvals: {number: 1}
production:
  gates:
    - kind: integrity
    - kind: reproduction           # the evidence was computed again, byte for byte
      max_age_days: 90
    - kind: pbo
      maximum: {probability: 0.5}
      max_age_days: 180
    - kind: manual
      topic: kill-switch-drill
      max_age_days: 365
  approvals: {number: 2}
request_days: 30
"""


def _gate(kind, **more):
    return {"kind": kind, "minimum": {}, "maximum": {}, "max_age_days": None, "topic": ""} | more


def _stage(number, *gates):
    return {"gates": list(gates), "approvals": {"number": number, "roles": ["validator", "admin"]}}


DOCUMENT = {
    "testing": _stage(
        0, _gate("artifact_scan"), _gate("integrity"), _gate("signature_schema"),
        _gate("model_card_complete"),
    ),
    "staging": _stage(
        1, _gate("integrity"),
        _gate("backtest", minimum={"n_bars": 252.0}, max_age_days=180),
        _gate("walk_forward", minimum={"sharpe": 0.0}, max_age_days=180),
        _gate("deflated_sharpe", minimum={"probability": 0.95}, max_age_days=180),
    ),
    "production": _stage(
        2, _gate("integrity"), _gate("reproduction", max_age_days=90),
        _gate("pbo", maximum={"probability": 0.5}, max_age_days=180),
        _gate("manual", topic="kill-switch-drill", max_age_days=365),
    ),
    "request_days": 30,
}


def store(apps, _schema_editor):
    canonical = json.dumps(DOCUMENT, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    apps.get_model("registry", "PromotionPolicy").objects.create(
        name="default", number=1, text=TEXT, document=DOCUMENT, reason="The first policy.",
        digest=hashlib.sha256(canonical.encode()).hexdigest(),
    )


class Migration(migrations.Migration):
    dependencies = [("registry", "0001_initial")]
    operations = [migrations.RunPython(store, migrations.RunPython.noop)]
