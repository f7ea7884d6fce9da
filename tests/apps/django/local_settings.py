
# What a deployment adds to the settings that startproject writes.
DEBUG = False
ALLOWED_HOSTS = ["localhost"]
STATIC_ROOT = BASE_DIR / "static"
MEDIA_ROOT = BASE_DIR / "media"
MEDIA_URL = "media/"
DATABASES["default"]["NAME"] = BASE_DIR / "data" / "db.sqlite3"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"]},
}
