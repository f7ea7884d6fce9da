"""The public names of mod_wsgi and apache, as JSON."""

import json

import apache
import mod_wsgi

mod_wsgi.LogHandler  # It is made when it is asked for.


def names(module):
    return sorted(name for name in vars(module) if not name.startswith("_"))


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({module.__name__: names(module) for module in (mod_wsgi, apache)}).encode()]
