"""Tables of registered models, versions and promotions."""
