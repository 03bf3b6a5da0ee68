"""The project package: settings and urls on top, the ground floor (core) below."""
