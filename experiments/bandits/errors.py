"""What bandits refuse, as one family."""


class BanditError(ValueError):
    """Base of everything that this package refuses."""


class SettingsError(BanditError):
    """A setting is outside its domain or contradicts another."""


class ArmError(BanditError):
    """There is no such arm, or arms that belong together do not fit."""


class RewardError(BanditError):
    """A reward is missing, infinite, or outside what the policy is made for."""


class StateError(BanditError):
    """A stored state does not belong to the policy, or states cannot be merged."""


class LimitsError(BanditError):
    """No allocation fulfills the limits."""


class PropensityError(BanditError):
    """A logged probability is missing, zero, or not a probability."""
