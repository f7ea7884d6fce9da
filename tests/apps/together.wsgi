"""Answers once as many requests as the query says are in this process at the same time."""

import threading

barriers = {}
lock = threading.Lock()


def application(environ, start_response):
    parties = int(environ["QUERY_STRING"])
    with lock:
        barrier = barriers.setdefault(parties, threading.Barrier(parties))
    barrier.wait(timeout=30)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"together\n"]
