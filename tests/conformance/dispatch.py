"""The one WSGI application: the row that the path names, under wsgiref.validate if it came by /valid."""

from wsgiref.validate import validator

from .table import load

TABLE = load()


def application(environ, start_response):
    """Calls the row's application."""
    row = TABLE[environ["PATH_INFO"].split("/")[1]]
    if environ["SCRIPT_NAME"] == "/valid":
        return validator(row.application)(environ, start_response)
    return row.application(environ, start_response)
