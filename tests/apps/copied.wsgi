"""Which process has imported this, which serves it, and what distinguishes the one from the other. With a path in
the query it answers when that is there.

Each process that imports it, or runs an end callback of its, leaves a file beside it in `told/`, if that is there.
"""

import atexit
import gc
import json
import os
import random
import threading
import time

import mod_wsgi

TOLD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "told")
imported_by = os.getpid()


def tell(what):
    try:
        open(os.path.join(TOLD, "%s.%d" % (what, os.getpid())), "w").close()
    except OSError:
        pass


tell("imported")
atexit.register(tell, "atexit")
mod_wsgi.subscribe_shutdown(lambda event, **data: tell("shutdown"))
mod_wsgi.start_recording_metrics()


def descriptors():
    """What is open here; another thread may close a descriptor while this looks."""
    for fd in os.listdir("/proc/self/fd"):
        try:
            yield os.readlink("/proc/self/fd/" + fd)
        except FileNotFoundError:
            pass


def application(environ, start_response):
    while environ["QUERY_STRING"] and not os.path.exists(environ["QUERY_STRING"]):
        time.sleep(0.005)
    metrics = mod_wsgi.process_metrics() or {}
    answer = {
        "pid": os.getpid(),
        "parent": os.getppid(),
        "leads": os.getsid(0) == os.getpid(),
        "uid": os.getuid(),
        "imported_by": imported_by,
        "main_thread": threading.main_thread().is_alive(),
        "threads": sum(1 for name in os.listdir("/proc/self/task")),
        "frozen": gc.get_freeze_count(),
        "random": random.random(),
        "metrics_of": metrics.get("pid"),
        "descriptors": sorted(descriptors()),
    }
    print("served by", os.getpid(), file=environ["wsgi.errors"])
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]
