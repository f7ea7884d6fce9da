"""What an application can measure: compat 4.7, metrics."""

import os
import time

from ..ask import get, post
from ..expect import Expect, failed
from ..table import row
from ..within import PATIENCE, PAUSE, report, text

try:
    import mod_wsgi
except ImportError:  # The runner reads the table as well.
    mod_wsgi = None

CLAUSE = "compat 4.7, metrics"
GROUP = "measured"
PHASES = ["server", "queue", "daemon", "application", "request", "input_read", "output_write", "gil_wait"]
PROCESS = (
    ["pid", "restart_time", "current_time", "running_time", "request_count", "request_busy_time"]
    + ["request_threads", "active_requests", "threads", "memory_rss", "memory_max_rss"]
    + ["cpu_user_time", "cpu_system_time", "cpu_time"]
)
REQUEST = (
    ["pid", "start_time", "stop_time", "sample_period", "request_count", "request_throughput"]
    + ["capacity_utilization", "gil_wait_count", "memory_rss", "memory_max_rss"]
    + ["input_bytes", "input_reads", "output_bytes", "output_writes"]
    + [f"status_{digit}xx" for digit in range(1, 6)]
    + [f"cpu_{part}{unit}" for part in ("user_", "system_", "") for unit in ("utilization", "time")]
    + [f"request_threads_{name}" for name in ("maximum", "started", "active", "completed", "buckets")]
    + [f"request_threads_{name}" for name in ("busy_time", "cpu_time", "current_elapsed", "max_duration")]
    + [f"{phase}_time{end}" for phase in PHASES for end in ("", "_min_us", "_max_us", "_buckets")]
)

if getattr(mod_wsgi, "process_group", None) == GROUP:
    BEFORE = [mod_wsgi.request_metrics(), mod_wsgi.process_metrics()]
    mod_wsgi.start_recording_metrics()
    mod_wsgi.start_recording_metrics()


@row(
    "where nobody has asked for them, there are no metrics", CLAUSE, (get(), Expect(json=[None, None, None]))
)
def metrics_off(environ, start_response):
    metrics = mod_wsgi.request_metrics(), mod_wsgi.process_metrics(), mod_wsgi.server_metrics()
    return report(start_response, metrics)


@row("nor are there before the recording begins", CLAUSE, (get(), Expect(json=[None, None])), group=GROUP)
def metrics_before(environ, start_response):
    return report(start_response, BEFORE)


@row(
    "request_metrics and process_metrics have these keys",
    CLAUSE,
    (get(), Expect(json=[sorted(REQUEST), sorted(PROCESS)])),
    group=GROUP,
)
def metrics_keys(environ, start_response):
    return report(start_response, [sorted(mod_wsgi.request_metrics()), sorted(mod_wsgi.process_metrics())])


def ended(environ, start_response, look):
    """Requests that drain, are measured, and are asked for: the measured one may end after its response."""
    if environ["PATH_INFO"].endswith("/drain"):
        mod_wsgi.request_metrics()
        return text(start_response)
    if environ["PATH_INFO"].endswith("/look"):
        end = time.monotonic() + PATIENCE
        metrics = [mod_wsgi.request_metrics()]
        # The one that drained is in there too, or in the drained interval.
        while not any(each["input_bytes"] for each in metrics):
            if time.monotonic() > end:
                raise TimeoutError("it was never measured")
            time.sleep(PAUSE)
            metrics.append(mod_wsgi.request_metrics())
        return report(start_response, look(metrics[-1]))
    environ["wsgi.input"].read()
    return text(start_response, b"one ", b"two", status="404 Gone Missing")


def measured(slug, sentence, look, expected):
    """A row about the metrics of one request."""
    exchanges = [
        (get("/drain"), Expect()),
        (post(b"hello"), Expect(status=404)),
        (get("/look"), Expect(json=expected)),
    ]
    enter = row(sentence, CLAUSE, *exchanges, slug=slug, group=GROUP)
    enter(lambda environ, start_response: ended(environ, start_response, look))


measured(
    "metrics-counts",
    "bytes, writes and statuses are counted by interval",
    lambda metrics: [metrics["input_bytes"], metrics["output_bytes"] >= 7, metrics["status_4xx"]],
    [5, True, 1],
)
measured(
    "metrics-phases",
    "each phase has a mean, a range and 65 buckets that sum up to the requests",
    lambda metrics: [phase for phase in PHASES if not is_phase(metrics, f"{phase}_time")],
    [],
)
measured(
    "metrics-threads",
    "what is told of threads is told of each of them",
    lambda metrics: [
        metrics["request_threads_maximum"],
        sum(metrics["request_threads_completed"]) == metrics["request_count"],
        metrics["request_threads_buckets"] == metrics["request_threads_completed"],
        {
            len(value)
            for name, value in metrics.items()
            if name.startswith("request_threads_") and listed(value)
        }
        == {2},
        sum(seconds > 0 for seconds in metrics["request_threads_current_elapsed"]),
    ],
    [2, True, True, True, 1],
)


def listed(value):
    """Is it a list?"""
    return isinstance(value, list)


def is_phase(metrics, name):
    """Do its four values fit one another?"""
    least, most, buckets = (metrics[name + end] for end in ("_min_us", "_max_us", "_buckets"))
    count = metrics["request_count"]
    fits = 0 <= least <= metrics[name] * 1e6 + 1 and metrics[name] * 1e6 <= most + 1
    return fits and len(buckets) == 65 and sum(buckets) == count


@row(
    "process_metrics tells of this process and each of its threads",
    CLAUSE,
    (get(), Expect(json=[True, True, 2, True, True])),
    group=GROUP,
)
def metrics_process(environ, start_response):
    metrics = mod_wsgi.process_metrics()
    return report(
        start_response,
        [
            metrics["pid"] == os.getpid(),
            metrics["active_requests"] >= 1,
            len(metrics["threads"]),
            sorted(thread["thread_id"] for thread in metrics["threads"]) == [1, 2],
            min(metrics["memory_rss"], metrics["memory_max_rss"]) > 2**20 and metrics["running_time"] >= 0,
        ],
    )


def fail(environ, start_response):
    """Raises, or tells how many statuses there were."""
    if environ["PATH_INFO"].endswith("/look"):
        end = time.monotonic() + PATIENCE
        while not mod_wsgi.request_metrics()["status_5xx"]:
            if time.monotonic() > end:
                raise TimeoutError("it was never counted")
            time.sleep(PAUSE)
        return text(start_response)
    raise RuntimeError("the application fails on purpose")


row(
    "a request without a response counts as one with a 500",
    CLAUSE,
    (get(), failed("the application fails on purpose")),
    (get("/look"), Expect()),
    slug="metrics-failed",
    group=GROUP,
)(fail)
