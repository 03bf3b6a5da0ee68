"""Questions about registered models, versions and promotions."""
