"""Web-side verbs of registered models, versions and promotions."""
