"""The application of a neighbouring script, inside what watches that it and the server keep to PEP 3333:
/CHECK/NAME/… is answered by NAME.wsgi as /…"""

import os
import runpy
import warnings
from wsgiref.util import shift_path_info
from wsgiref.validate import validator

from werkzeug.middleware.lint import LintMiddleware

CHECKS = {"validator": validator, "lint": LintMiddleware}
known = {}

warnings.simplefilter("error")


def checked(check, name):
    if (check, name) not in known:
        path = os.path.join(os.path.dirname(__file__), name + ".wsgi")
        known[check, name] = CHECKS[check](runpy.run_path(path)["application"])
    return known[check, name]


def application(environ, start_response):
    check, name = shift_path_info(environ), shift_path_info(environ)
    return checked(check, name)(environ, start_response)
