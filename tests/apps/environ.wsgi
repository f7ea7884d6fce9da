"""The environ as JSON: of each value its type's name, and the value where JSON has it."""

import json

PLAIN = (str, int, bool, float)


def described(value):
    shown = value if isinstance(value, PLAIN) else list(value) if isinstance(value, tuple) else None
    return [type(value).__name__, shown]


def application(environ, start_response):
    answer = {name: described(value) for name, value in environ.items()}
    answer["type(environ)"] = ["str", type(environ).__name__]
    body = json.dumps(answer).encode()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [body]
