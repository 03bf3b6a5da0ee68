"""One settings file, read from typed environment variables.

Importing it starts nothing and needs no database. What each variable means is in
`docs/settings.md`; `manage.py doctor` checks them.
"""

from pathlib import Path

from backtests.lifecycle import DatasetStatus, RunKind, RunStatus
from crowetrade_site import env
from crowetrade_site.embedded.broker import Broker
from crowetrade_site.embedded.home import home
from crowetrade_site.embedded.postgres import Postgres
from experiments.lifecycle import ExperimentStatus
from registry.lifecycle import ConversionTarget, EvidenceStatus, RequestStatus, Stage, VersionStatus
from strategies.lifecycle import StrategyStatus

BASE_DIR = Path(__file__).resolve().parent.parent
HOME_DIR = home()

DEBUG = env.boolean("CROWETRADE_DEBUG", default=False)
SECRET_KEY = env.secret("CROWETRADE_SECRET_KEY", HOME_DIR / "secret_key")
ALLOWED_HOSTS = env.listing("CROWETRADE_ALLOWED_HOSTS", "127.0.0.1,localhost,[::1]")
CSRF_TRUSTED_ORIGINS = env.listing("CROWETRADE_CSRF_TRUSTED_ORIGINS")
# Where clients reach the site, if their requests do not tell: behind a proxy that adds a path.
PUBLIC_URL = env.address("CROWETRADE_PUBLIC_URL")
HTTPS_ONLY = env.boolean("CROWETRADE_HTTPS", default=False)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS_ONLY
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS_ONLY else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS_ONLY else None
X_FRAME_OPTIONS = "DENY"

INSTALLED_APPS = [
    "crowetrade_site.core",  # first: its commands take the place of those that leave no trail
    "unfold",
    "unfold.contrib.filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "registry",
    "experiments",
    "strategies",
    "backtests",
]
MIDDLEWARE = [
    "crowetrade_site.core.middleware.RequestContextMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "crowetrade_site.core.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "crowetrade_site.core.middleware.AuthenticationMiddleware",
    "crowetrade_site.core.middleware.ActorMiddleware",
    "crowetrade_site.core.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "crowetrade_site.urls"
WSGI_APPLICATION = "crowetrade_site.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "crowetrade_site" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# --- PostgreSQL and the broker: given by URL, or embedded ---------------------------
DATABASE_URL = env.text("DATABASE_URL")
EMBEDDED_POSTGRES = not DATABASE_URL
DATABASES = {
    "default": {
        **(
            {"ENGINE": "crowetrade_site.embedded.backend", **Postgres(HOME_DIR).connection()}
            if EMBEDDED_POSTGRES
            else env.database(DATABASE_URL)
        ),
        "CONN_MAX_AGE": env.integer("CROWETRADE_DB_CONN_MAX_AGE", default=60, minimum=0),
        "CONN_HEALTH_CHECKS": True,
    }
}
CELERY_BROKER_URL = env.text("CELERY_BROKER_URL")
EMBEDDED_BROKER = not CELERY_BROKER_URL
if EMBEDDED_BROKER:
    CELERY_BROKER_URL = Broker(HOME_DIR).url()

# --- Celery (why each value: docs/adr/0003-jobs.md) ---------------------------------
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": env.integer("CROWETRADE_VISIBILITY_TIMEOUT", default=12 * 3600),
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    "socket_timeout": 15,
    "socket_connect_timeout": 5,
    # a request does not wait for a broker that is away: the beat publishes what was not
    "max_retries": 1,
    "interval_start": 0.0,
    "interval_max": 0.2,
}
CELERY_TASK_PUBLISH_RETRY = False  # the table is the queue of record: the beat task publishes again
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_PROC_ALIVE_TIMEOUT = 60.0  # a child that loads numba on a busy machine is no dead one
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE_FILENAME = str(HOME_DIR / "celerybeat-schedule")

# --- Artefacts: write-once, content-addressed ---------------------------------------
ARTIFACT_ROOT = Path(env.text("CROWETRADE_ARTIFACT_ROOT") or HOME_DIR / "artifacts")
ARTIFACT_CACHE = Path(env.text("CROWETRADE_ARTIFACT_CACHE") or HOME_DIR / "cache" / "artifacts")
ARTIFACT_S3_BUCKET = env.text("CROWETRADE_S3_BUCKET")
ARTIFACT_S3_TIMEOUT = env.integer("CROWETRADE_S3_TIMEOUT_SECONDS", default=20, minimum=1)
_artifacts: dict[str, object] = {
    "BACKEND": "crowetrade_site.core.storage.WriteOnceFileSystemStorage",
    "OPTIONS": {"location": ARTIFACT_ROOT},
}
if ARTIFACT_S3_BUCKET:
    _artifacts = {
        "BACKEND": "crowetrade_site.core.storage_s3.WriteOnceS3Storage",
        "OPTIONS": {
            "bucket_name": ARTIFACT_S3_BUCKET,
            "endpoint_url": env.text("CROWETRADE_S3_ENDPOINT") or None,
            "region_name": env.text("CROWETRADE_S3_REGION") or None,
            "location": env.text("CROWETRADE_S3_PREFIX"),
        },
    }
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "crowetrade_site" / "static"]
STATIC_ROOT = Path(env.text("CROWETRADE_STATIC_ROOT") or HOME_DIR / "static")
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "artifacts": _artifacts,
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
MEDIA_ROOT = HOME_DIR / "uploads"
DATA_UPLOAD_MAX_MEMORY_SIZE = 2_621_440

# --- Audit trail --------------------------------------------------------------------
AUDIT_SIGNING_KEY = Path(
    env.text("CROWETRADE_AUDIT_SIGNING_KEY") or HOME_DIR / "audit" / "signing_key.pem"
)
AUDIT_CHECKPOINTS = Path(env.text("CROWETRADE_AUDIT_CHECKPOINTS") or HOME_DIR / "audit")
AUDIT_SEAL_SECONDS = env.integer("CROWETRADE_AUDIT_SEAL_SECONDS", default=5, minimum=1)

# --- Runs ---------------------------------------------------------------------------
RUN_LEASE_SECONDS = env.integer("CROWETRADE_RUN_LEASE_SECONDS", default=20, minimum=2)
WARM_UP = env.boolean("CROWETRADE_WARM_UP", default=True)
# What a task of a study shall take on one core, by an estimate that no machine's speed changes.
CHUNK_SECONDS = env.integer("CROWETRADE_CHUNK_MILLISECONDS", default=3_000, minimum=10) / 1000
CHUNK_MAX_ATTEMPTS = env.integer("CROWETRADE_CHUNK_MAX_ATTEMPTS", default=5, minimum=1)
# Of one study: many enough to keep all workers busy, few enough that studies take turns.
STUDY_CHUNKS_IN_FLIGHT = env.integer("CROWETRADE_STUDY_CHUNKS_IN_FLIGHT", default=64, minimum=1)
RUN_MAX_ACTIVE_PER_USER = env.integer("CROWETRADE_RUN_MAX_ACTIVE_PER_USER", default=100, minimum=1)
RUN_MAX_ATTEMPTS = env.integer("CROWETRADE_RUN_MAX_ATTEMPTS", default=5, minimum=1)
# How long work waits for an artefact store that does not answer or is full, before it fails.
STORE_PATIENCE_SECONDS = env.integer("CROWETRADE_STORE_PATIENCE_SECONDS", default=600, minimum=1)
# Days that artefacts of runs are kept, by kind and state; 0 keeps them for ever.
RETENTION_DAYS = {
    "backtest": env.integer("CROWETRADE_RETAIN_BACKTEST_DAYS", default=0, minimum=0),
    "study": env.integer("CROWETRADE_RETAIN_STUDY_DAYS", default=0, minimum=0),
    "reproduction": env.integer("CROWETRADE_RETAIN_REPRODUCTION_DAYS", default=90, minimum=0),
    "failed": env.integer("CROWETRADE_RETAIN_FAILED_DAYS", default=90, minimum=0),
}
# Months that experiments keep outcomes as they came; 0 keeps them for ever. Sums always stay.
OUTCOME_MONTHS = env.integer("CROWETRADE_OUTCOME_MONTHS", default=0, minimum=0)
RETENTION_EVERY_SECONDS = env.integer("CROWETRADE_RETAIN_EVERY_SECONDS", default=3600, minimum=10)
# What nothing refers to is not removed before it is so old: somebody may be about to refer to it.
RETENTION_GRACE_SECONDS = env.integer("CROWETRADE_RETAIN_GRACE_SECONDS", default=3600, minimum=600)
DATASET_CACHE_BYTES = env.integer("CROWETRADE_DATASET_CACHE_MB", default=2048, minimum=1) * 2**20
# What the other bars of a causality check may take beside the run's own.
CAUSALITY_MAX_BYTES = env.integer("CROWETRADE_CAUSALITY_MAX_MB", default=4096, minimum=1) * 2**20

# --- Registry -----------------------------------------------------------------------
MODEL_FILE_MAX_BYTES = env.integer("CROWETRADE_MODEL_FILE_MAX_MB", default=8_192, minimum=1) * 2**20
# Models that were loaded: what a process may hold in memory, and all of them on disk.
MODEL_MEMORY_CACHE_BYTES = env.integer("CROWETRADE_MODEL_MEMORY_MB", default=512, minimum=1) * 2**20
MODEL_PREDICT_SECONDS = env.integer("CROWETRADE_MODEL_PREDICT_SECONDS", default=120, minimum=1)
MODEL_DISK_CACHE_BYTES = env.integer("CROWETRADE_MODEL_DISK_MB", default=10_240, minimum=1) * 2**20
# files that no version refers to
FILE_KEEP_DAYS = env.integer("CROWETRADE_FILE_KEEP_DAYS", default=30, minimum=1)
# files of versions that were refused, once nobody holds or touches these; 0 keeps them for ever
REFUSED_KEEP_DAYS = env.integer("CROWETRADE_REFUSED_KEEP_DAYS", default=365, minimum=0)
# Aliases that stand for production versions alone, and go with them.
PRODUCTION_ALIASES = frozenset(
    alias.lower() for alias in env.listing("CROWETRADE_PRODUCTION_ALIASES", "champion,production")
)
UPLOAD_KEEP_DAYS = env.integer("CROWETRADE_UPLOAD_KEEP_DAYS", default=7, minimum=1)

# Every request is counted by its own process; what costs much, for all of them, in the database.
CACHES = {
    # The theme alone uses it, and would keep answers of the sidebar's search for five minutes: what
    # was just made is found at once, and what somebody may no longer read no more.
    "default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"},
    "requests": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    "rates": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "core_rate",
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    },
}

# --- REST ---------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "crowetrade_site.core.api.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["crowetrade_site.core.api.permissions.HasScope"],
    "DEFAULT_PAGINATION_CLASS": "crowetrade_site.core.api.pagination.NewestFirst",
    "DEFAULT_FILTER_BACKENDS": ["crowetrade_site.core.api.filters.KnownFilters"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": [
        "crowetrade_site.core.api.parsers.ShallowJSONParser",
        "rest_framework.parsers.MultiPartParser",
    ],
    "DEFAULT_SCHEMA_CLASS": "crowetrade_site.core.api.schema.ProblemSchema",
    "EXCEPTION_HANDLER": "crowetrade_site.core.api.problems.exception_handler",
    "DEFAULT_THROTTLE_CLASSES": [
        "crowetrade_site.core.api.throttles.RequestRateThrottle",
        "crowetrade_site.core.api.throttles.VerbRateThrottle",
    ],
    "DEFAULT_THROTTLE_RATES": {
        "user": env.rate("CROWETRADE_API_RATE", "6000/min"),
        "runs": env.rate("CROWETRADE_RUN_RATE", "120/min"),
        "estimates": env.rate("CROWETRADE_ESTIMATE_RATE", "60/min"),
    },
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "CroweTrade",
    "DESCRIPTION": "The laboratory and the system of record for trading models.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "OAS_VERSION": "3.1.1",  # its schemas are those of the specs
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "crowetrade_site.core.api.schema.close_request_bodies",
    ],
    "ENUM_NAME_OVERRIDES": {
        kind.__name__: [member.value for member in kind]
        for kind in (
            ConversionTarget,
            DatasetStatus,
            EvidenceStatus,
            ExperimentStatus,
            RequestStatus,
            RunKind,
            RunStatus,
            Stage,
            StrategyStatus,
            VersionStatus,
        )
    }
    | {
        "PromotionTarget": [Stage.STAGING.value, Stage.PRODUCTION.value],
        "MetricKind": ["mean", "proportion", "ratio", "quantile"],
        "OnBreach": ["pause", "notify"],
        "Verdict": ["winner", "no_difference", "inconclusive"],
    },
}

# --- Time, language, accounts -------------------------------------------------------
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False
LANGUAGE_CODE = "en-us"
FORMAT_MODULE_PATH = "crowetrade_site.formats"
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"context": {"()": "crowetrade_site.core.logs.ContextFilter"}},
    "formatters": {
        "json": {"()": "crowetrade_site.core.logs.JsonFormatter"},
        "line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"},
    },
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "filters": ["context"],
            "formatter": "json" if env.text("CROWETRADE_LOG_FORMAT") == "json" else "line",
        }
    },
    "root": {"handlers": ["stderr"], "level": env.text("CROWETRADE_LOG_LEVEL", "INFO")},
    "loggers": {"exchange_calendars": {"level": "WARNING"}, "numba": {"level": "WARNING"}},
}

UNFOLD = {
    "SITE_TITLE": "CroweTrade",
    "SITE_HEADER": "CroweTrade",
    "SITE_SUBHEADER": "Laboratory and system of record",
    "SITE_SYMBOL": "candlestick_chart",
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda _: "/static/crowetrade/favicon.svg"}
    ],
    "STYLES": [lambda _: "/static/crowetrade/admin.css"],
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "DASHBOARD_CALLBACK": "crowetrade_site.dashboard.context",
    "COMMAND": {"search_callback": "crowetrade_site.dashboard.search"},
    "SIDEBAR": {
        "show_search": True,
        "command_search": True,
        "navigation": "crowetrade_site.dashboard.navigation",
    },
    "COLORS": {
        "primary": {
            "50": "#eef2ff",
            "100": "#e0e7ff",
            "200": "#c7d2fe",
            "300": "#a5b4fc",
            "400": "#818cf8",
            "500": "#6366f1",
            "600": "#4f46e5",
            "700": "#4338ca",
            "800": "#3730a3",
            "900": "#312e81",
            "950": "#1e1b4b",
        }
    },
}
