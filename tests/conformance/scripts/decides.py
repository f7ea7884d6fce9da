"""A script of access control and dispatch that answers what the request's X-Answer says, as an expression."""

import hashlib


def answer(environ, **names):
    """The value that this request spells out."""
    return eval(environ.get("HTTP_X_ANSWER", "None"), {"environ": environ, **names})


def allow_access(environ, host):
    return answer(environ, host=host)


def check_password(environ, user, password):
    if "HTTP_X_GROUPS" in environ:
        return True
    return answer(environ, user=user, password=password)


def get_realm_hash(environ, user, realm):
    return answer(environ, user=user, realm=realm, secret=secret)


def groups_for_user(environ, user):
    return eval(environ["HTTP_X_GROUPS"], {"user": user, "torn": torn})


def process_group(environ):
    return answer(environ) if environ.get("HTTP_X_WHAT") == "process" else None


def callable_object(environ):
    return answer(environ) if environ.get("HTTP_X_WHAT") == "callable" else None


def secret(user, realm):
    """The hash of the user whose password is secret."""
    return hashlib.md5(f"{user}:{realm}:secret".encode()).hexdigest()


def torn():
    """A list of groups that fails midway."""
    yield "admin"
    raise RuntimeError("the groups can't be read")
