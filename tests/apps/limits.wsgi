"""What the operating system allows its process and thread, as JSON.

At /take it takes so many MiB for a moment, at /bind it binds all of its threads to a processor.
"""

import ctypes
import json
import os
import platform
import resource
import struct
import threading

LIBC = ctypes.CDLL(None)


def stack_size():
    """Of this thread: see pthread_getattr_np(3)."""
    attributes, size = ctypes.create_string_buffer(256), ctypes.c_size_t()
    failed = LIBC.pthread_getattr_np(ctypes.c_void_p(threading.get_ident()), attributes)
    failed = failed or LIBC.pthread_attr_getstacksize(attributes, ctypes.byref(size))
    return None if failed else size.value


def time_slice(thread):
    """In nanoseconds, 0 before Linux 6.12: see sched_getattr(2), which has no function in every C library."""
    attributes = ctypes.create_string_buffer(48)
    number = {"x86_64": 315, "aarch64": 275, "riscv64": 275}[platform.machine()]
    failed = LIBC.syscall(number, thread, attributes, len(attributes), 0)
    return None if failed else struct.unpack("IIQiIQQQ", attributes.raw)[5]


def slices(process):
    """Of all its threads, each once."""
    return sorted({time_slice(int(thread)) for thread in os.listdir(f"/proc/{process}/task")})


def application(environ, start_response):
    if environ["PATH_INFO"] == "/take":
        bytearray(int(environ["QUERY_STRING"]) << 20)
    if environ["PATH_INFO"] == "/bind":
        for thread in os.listdir("/proc/self/task"):
            os.sched_setaffinity(int(thread), {int(environ["QUERY_STRING"])})
    answer = {
        "pid": os.getpid(),
        "policy": os.sched_getscheduler(0),
        "priority": os.getpriority(os.PRIO_PROCESS, 0),
        "data": resource.getrlimit(resource.RLIMIT_DATA),
        "space": resource.getrlimit(resource.RLIMIT_AS),
        "stack": stack_size(),
        "processors": sorted(os.sched_getaffinity(0)),
        "slice": time_slice(0),
        "slices_of_httpd": slices(int(environ["mod_wsgi.server_pid"])),
    }
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]
