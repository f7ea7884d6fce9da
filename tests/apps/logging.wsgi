"""Writes to every stream that ends in an error log."""

import sys


def application(environ, start_response):
    token = environ["QUERY_STRING"]
    errors = environ["wsgi.errors"]
    errors.write("errors.write %s\n" % token)
    errors.writelines(["errors.writelines ", "%s\n" % token])
    errors.write("in two ")
    errors.write("parts %s\n" % token)
    errors.write("no end of line %s" % token)
    errors.flush()
    errors.write("\u00fcmlaut %s\n" % token)
    print("print to stderr", token, file=sys.stderr)
    print("print to stdout", token)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"logged\n"]
