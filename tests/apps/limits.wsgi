"""What the operating system allows its process and thread, as JSON; at /take it takes so many MiB for a moment."""

import ctypes
import json
import os
import resource
import threading

LIBC = ctypes.CDLL(None)


def stack_size():
    """Of this thread: see pthread_getattr_np(3)."""
    attributes, size = ctypes.create_string_buffer(256), ctypes.c_size_t()
    failed = LIBC.pthread_getattr_np(ctypes.c_void_p(threading.get_ident()), attributes)
    failed = failed or LIBC.pthread_attr_getstacksize(attributes, ctypes.byref(size))
    return None if failed else size.value


def application(environ, start_response):
    if environ["PATH_INFO"] == "/take":
        bytearray(int(environ["QUERY_STRING"]) << 20)
    answer = {
        "pid": os.getpid(),
        "policy": os.sched_getscheduler(0),
        "priority": os.getpriority(os.PRIO_PROCESS, 0),
        "data": resource.getrlimit(resource.RLIMIT_DATA),
        "space": resource.getrlimit(resource.RLIMIT_AS),
        "stack": stack_size(),
    }
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]
