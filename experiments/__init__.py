"""A/B tests and bandits."""
