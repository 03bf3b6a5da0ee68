"""Gates: evidence against policy."""
