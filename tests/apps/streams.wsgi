"""wsgi.errors at /use as others use a text stream, and at /below the stream under it; /change changes it, and /state
tells what it is; /keep keeps both streams, and /after tells as JSON what their methods raise, once that request has
ended."""

import json
import logging
import traceback

kept = {}
CALLS = {
    "wsgi.input": [
        ("read",), ("read", 1), ("readline",), ("readlines",), ("__iter__",), ("__next__",), ("close",)],
    "wsgi.errors": [
        ("write", "too late"), ("writelines", ["too late"]), ("isatty",), ("fileno",),
        ("readable",), ("writable",), ("seekable",)],
}
ATTRIBUTES = ("encoding", "errors", "name", "mode", "closed", "line_buffering")


def use(errors, token):
    handler = logging.StreamHandler(errors)
    handler.emit(logging.makeLogRecord({"msg": token + " by a handler"}))
    print(token, "printed", 1, file=errors, flush=True)
    try:
        raise RuntimeError(token + " on purpose")
    except RuntimeError:
        traceback.print_exc(file=errors)
    errors.writelines(line for line in (token + " of ", "several\n"))
    errors.write(token + " surrogate \udcff, NUL \0, escape \x1b, euro \u20ac\r\n")
    errors.write(token + " " + "x" * 20000 + "\n")
    errors.write(token + " without an end")
    errors.close()
    errors.write(token + " after close\n")
    try:
        errors.write(token.encode())
    except TypeError:
        pass
    errors.buffer.write(token.encode() + b" as bytes\n")
    try:
        errors.fileno()
    except OSError as error:
        errors.write(token + " no descriptor: " + str(error))
    traits = [errors.isatty(), errors.readable(), errors.writable(), errors.seekable()]
    types = ["%s.%s" % (type(each).__module__, type(each).__name__) for each in (errors, errors.buffer)]
    return traits + [getattr(errors, name) for name in ATTRIBUTES] + types


def below(log, token):
    """The stream that the text stream writes to."""
    log.writelines([token + " of text, ", token.encode() + b" of bytes\n"])
    log.write(token + " flushed")
    log.flush()
    log.write(token + " closed")
    log.close()
    log.write(token + " after close\n")
    traits = [log.isatty(), log.readable(), log.writable(), log.seekable()]
    return traits + [log.closed, log.name, log.encoding, log.errors]


def change(errors, how):
    if how == "attribute":
        errors.left = "behind"
    elif how == "mode":
        errors.mode = "rb"
    elif how == "encoding":
        errors.reconfigure(encoding="utf-16")
    else:
        errors.reconfigure(write_through=False)
        errors.write("held back\n")


def state(errors):
    return [vars(errors), errors.encoding, errors.write_through]


def raised(stream, method, *arguments):
    try:
        getattr(stream, method)(*arguments)
    except RuntimeError as error:
        return str(error)


def after():
    answer = {}
    for name, calls in CALLS.items():
        for call in calls:
            answer["%s: %s()" % (name, call[0])] = raised(kept[name], *call)
    # What a finalizer would do: nobody is told of it.
    kept["wsgi.errors"].flush()
    kept["wsgi.errors"].close()
    return answer


def application(environ, start_response):
    answer = None
    if environ["PATH_INFO"] == "/use":
        answer = use(environ["wsgi.errors"], environ["QUERY_STRING"])
    elif environ["PATH_INFO"] == "/below":
        answer = below(environ["wsgi.errors"].buffer, environ["QUERY_STRING"])
    elif environ["PATH_INFO"] == "/keep":
        kept.update(environ)
    elif environ["PATH_INFO"] == "/same":
        answer = environ["wsgi.errors"] is kept["wsgi.errors"]
    elif environ["PATH_INFO"] == "/change":
        change(environ["wsgi.errors"], environ["QUERY_STRING"])
    elif environ["PATH_INFO"] == "/state":
        answer = state(environ["wsgi.errors"])
        environ["wsgi.errors"].write("of the next\n")
    else:
        answer = after()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]
