"""What policies ask people to attest."""

from crowetrade_site.core import hints
from registry.models import ModelVersion, PromotionPolicy
from registry.rules.policies import Policy
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
