"""What policies ask for, and whether anybody brings it."""

from crowetrade_site.core import hints
from registry.models import Evidence, ModelVersion, PromotionPolicy
from registry.rules.policies import UNMEASURED, Gate, Policy
from registry.selectors.records import policy_in_force


def topics_asked(version: ModelVersion) -> list[str]:
    """Return what the manual gates of the policy in force ask people to attest."""
    return _asked(policy_in_force(version.registered_model.policy))


def _asked(stored: PromotionPolicy) -> list[str]:
    policy = Policy.model_validate(stored.document)
    stages = (policy.testing, policy.staging, policy.production)
    return sorted({gate.topic for stage in stages for gate in stage.gates if gate.topic})


def warning_of_topic(version: ModelVersion, topic: str) -> str:
    """Return a sentence where no gate of the policy in force asks for a topic; else nothing.

    It is no refusal: a policy that asks for it may be stored later, and then weighs what is there.
    """
    stored = policy_in_force(version.registered_model.policy)
    asked = _asked(stored)
    if topic in asked:
        return ""
    what = f"No gate of {stored} asks for the topic {hints.shown(topic)!r}"
    if not asked:
        return f"{what}, nor for any other: it meets nothing as it stands."
    close = hints.closest(topic, asked) or "."
    return f"{what}{close} It asks for {', '.join(asked)}."


def warnings_of_policy(stored: PromotionPolicy) -> list[str]:
    """Return a sentence for each gate, or figure of one, that nobody has been seen to bring.

    They are no refusals: what is not measured yet may be, by a job of a site's own too.
    """
    policy = Policy.model_validate(stored.document)
    stages = {"testing": policy.testing, "staging": policy.staging, "production": policy.production}
    return [
        f"{gate.name} of {stage}: {why}"
        for stage, asked in stages.items()
        for gate in asked.gates
        for why in _unbrought(gate)
    ]


def _unbrought(gate: Gate) -> list[str]:
    if gate.kind in UNMEASURED:
        return ["nothing on the platform measures it, so that it is never met as it stands"]
    asked = {*gate.minimum, *gate.maximum}
    newest = Evidence.objects.filter(kind=gate.kind, is_measured=True).order_by("-id")
    seen = {name for figures in newest.values_list("figures", flat=True)[:20] for name in figures}
    if not asked or not seen:
        return []
    return [
        f"no evidence of the kind has a figure {hints.shown(name)!r}{hints.closest(name, seen)}"
        for name in sorted(asked - seen)
    ]
