"""Settings of the test suite: the real ones, in throw-away places."""

import os
import tempfile
from pathlib import Path

# Kernels are compiled once for the suite, not once for every home that a test makes.
os.environ.setdefault("NUMBA_CACHE_DIR", str(Path.home() / ".cache" / "crowetrade" / "numba"))

from crowetrade_site.settings import *  # noqa: F403
from crowetrade_site.settings import DATABASES, STORAGES

SCRATCH = Path(tempfile.gettempdir()) / "crowetrade-tests"
STATIC_ROOT = SCRATCH / "static"
STATIC_ROOT.mkdir(parents=True, exist_ok=True)
SECRET_KEY = "tests"
DEBUG = False
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
CELERY_BROKER_URL = "memory://"
DATABASES["default"]["ENGINE"] = "tests.database"
DATABASES["default"]["CONN_MAX_AGE"] = 0
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
