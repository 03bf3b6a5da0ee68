"""What the rules refuse."""


class RuleError(ValueError):
    """A name, a policy or a schema that means nothing."""
