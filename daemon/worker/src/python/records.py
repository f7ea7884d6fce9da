"""mod_wsgi.LogHandler: log records with their own level and place in Apache's error log."""

import logging

import _wsgid

# Apache's levels, which are syslog's, from the least of Python's on. A level between two counts as the
# lower one; below them all is debug.
LEVELS = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
DEBUG = 7


class LogHandler(logging.Handler):
    """Writes to the error log of the request that the thread serves, otherwise to the daemon's log."""

    def emit(self, record):
        try:
            _wsgid.record(apache_level(record.levelno), self.format(record), record.pathname, record.lineno)
        except Exception:
            self.handleError(record)


LogHandler.__module__ = 'mod_wsgi'


def apache_level(number):
    for least, level in LEVELS:
        if number >= least:
            return level
    return DEBUG
