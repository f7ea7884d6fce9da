"""Decides what the request tells it to: the header named after a function holds its answer as an expression,
without one it is True, or None where True would be no answer. Also an application that says who asked."""

import json
import os
import threading

kept = []
forever = threading.Event()


def decide(environ, name, default, **names):
    expression = environ.get("HTTP_X_" + name, default)
    return eval(expression, dict(globals(), environ=environ, **names))


def allow_access(environ, host):
    return decide(environ, "ACCESS", "True", host=host)


def check_password(environ, user, password):
    return decide(environ, "PASSWORD", "True", user=user, password=password)


def get_realm_hash(environ, user, realm):
    return decide(environ, "HASH", "None", user=user, realm=realm)


def groups_for_user(environ, user):
    return decide(environ, "GROUPS", "[]", user=user)


def process_group(environ):
    return decide(environ, "PROCESS", "None")


def application_group(environ):
    return decide(environ, "APPLICATION", "None")


def callable_object(environ):
    return decide(environ, "CALLABLE", "None")


def keep(value):
    """Keeps something beyond its request."""
    kept.append(value)
    return True


def endless():
    while True:
        yield "staff"


def torn():
    yield "staff"
    raise RuntimeError("the list fails midway")


def answer(environ, start_response, name):
    shown = ("REMOTE_USER", "AUTH_TYPE", "mod_wsgi.process_group", "mod_wsgi.application_group")
    body = {key: environ.get(key) for key in shown}
    body.update(callable=name, pid=os.getpid())
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(body).encode()]


def application(environ, start_response):
    return answer(environ, start_response, "application")


def other(environ, start_response):
    return answer(environ, start_response, "other")
