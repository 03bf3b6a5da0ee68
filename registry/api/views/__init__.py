"""The registry over REST, by noun."""
