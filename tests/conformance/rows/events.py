"""What an application can subscribe to, and the data of a request: compat 4.7."""

import os
import signal
import threading
import time

from ..ask import get, post
from ..expect import Expect, failed, logged
from ..table import row
from ..within import PATIENCE, PAUSE, raised, report, text

try:
    import mod_wsgi
except ImportError:  # The runner reads the table as well.
    mod_wsgi = None

CLAUSE = "compat 4.7, events"
# A process group of their own, so that everywhere else nobody is subscribed.
GROUP = "told"
# Of the requests that ask for it by X-Heard: name and payload of each event, in order.
HEARD = {}
SIGNALS = []
# By the id of the request.
ASKED = {}


def hear(name, **payload):
    """Notes an event, and has a hand in the request where that asks for it."""
    if name == "request_started":
        environ = payload["request_environ"]
        ASKED[payload["request_id"]] = environ.get("HTTP_X_HEARD"), environ.get("HTTP_X_HAND")
    heard, hand = ASKED.get(payload.get("request_id"), (None, None))
    if heard:
        HEARD.setdefault(heard, []).append((name, payload))
    return meddle(hand, name, payload)


def meddle(hand, name, payload):
    """What a subscriber may do."""
    if hand == "wrap" and name == "request_started":
        return {"application_object": wrapped(payload["application_object"])}
    if hand == "header" and name == "response_started":
        payload["response_headers"].append(("X-Added", "by a subscriber"))
    if hand == "data" and name == "request_started":
        payload["request_data"]["left"] = "by a subscriber"
    if hand == "raise" and name == "request_started":
        raise ValueError("a subscriber fails on purpose")
    return {"merged": name} if hand == "merge" else None


def hear_later(name, *, merged=None, **payload):
    """Comes second, and is given what the first has returned."""
    heard, _ = ASKED.get(payload.get("request_id"), (None, None))
    if heard and merged:
        HEARD.setdefault(f"{heard}+", []).append([name, merged])


def wrapped(application):
    """Middleware."""

    def wrap(environ, start_response):
        environ["wrapped"] = "yes"
        return application(environ, start_response)

    return wrap


def hear_signal(name, **payload):
    """Notes which, and whether it holds up the main thread."""
    SIGNALS.append([name, payload, threading.current_thread() is threading.main_thread()])


if getattr(mod_wsgi, "process_group", None) == GROUP:
    RETURNED = mod_wsgi.subscribe_events(hear)
    mod_wsgi.subscribe_events(hear_later)
    mod_wsgi.subscribe_signals(hear_signal)


def awaited(look):
    """What `look` answers once that is something: events may come after the response."""
    end = time.monotonic() + PATIENCE
    while not look():
        if time.monotonic() > end:
            raise TimeoutError("it was never heard of")
        time.sleep(PAUSE)
    return look()


def is_finished(slug):
    """Has its last event come?"""
    return [name for name, _ in HEARD.get(slug, ())][-1:] == ["request_finished"]


def told(slug, sentence, ask, look, expected, answer=None, expect=None):
    """A row of two requests: one that is heard of, and one that tells of its events what `look` does."""

    def application(environ, start_response):
        if environ["PATH_INFO"].endswith("/heard"):
            awaited(lambda: is_finished(slug))
            return report(start_response, look(HEARD.pop(slug)))
        environ["wsgi.input"].read()
        return (answer or plain)(environ, start_response)

    exchanges = (ask, expect or Expect()), (get("/heard"), Expect(json=expected))
    row(sentence, CLAUSE, *exchanges, slug=slug, group=GROUP)(application)


def names(events):
    """In order."""
    return [name for name, _ in events]


def payload(events, name):
    """Of the event of this name."""
    return dict(events)[name]


def plain(environ, start_response):
    """An empty answer."""
    return text(start_response)


def parts(environ, start_response):
    """An answer in two writes."""
    return text(start_response, b"one ", b"two")


STARTS = ["request_start", "queue_start", "daemon_start", "application_start"]
STARTED = sorted(
    STARTS
    + ["request_id", "thread_id", "server_pid", "daemon_connects", "daemon_restarts", "application_object"]
    + ["callable_object", "request_environ", "request_data"]
)
RESPONSE = ["exception_info", "request_data", "request_id", "response_headers", "response_status"]
FINISHED = (
    STARTS[:3]
    + ["request_id", "thread_id", "server_pid", "request_data", "status", "gil_wait_time", "gil_wait_count"]
    + ["input_reads", "input_length", "input_time", "output_length", "output_writes", "output_time"]
    + ["application_finish", "application_time"]
)
PROCESSOR = ["cpu_user_time", "cpu_system_time", "cpu_time"]


def heard(slug, *headers):
    """A request that is heard of."""
    return post(b"hello", ("X-Heard", slug), *headers)


told(
    "events-order",
    "a request has three events",
    heard("events-order"),
    names,
    ["request_started", "response_started", "request_finished"],
)
told(
    "events-started",
    "request_started has everything that is known before the application is called",
    heard("events-started"),
    lambda events: sorted(payload(events, "request_started")),
    STARTED,
)
told(
    "events-started-values",
    "and it is what environ says",
    heard("events-started-values"),
    lambda events: started_values(payload(events, "request_started")),
    [True, True, True, True, "application", 1, 0, "int"],
)


def started_values(event):
    """Compares it with the environ."""
    environ = event["request_environ"]
    return [
        event["request_id"] == environ["mod_wsgi.request_id"],
        event["thread_id"] == environ["mod_wsgi.thread_id"],
        str(event["server_pid"]) == environ["mod_wsgi.server_pid"],
        all(event[name] == environ[f"mod_wsgi.{name}"] for name in STARTS),
        event["callable_object"],
        event["daemon_connects"],
        event["daemon_restarts"],
        type(event["server_pid"]).__name__,
    ]


told(
    "events-response",
    "response_started has what the application gave start_response",
    heard("events-response"),
    lambda events: response_values(payload(events, "response_started")),
    [RESPONSE, "200 OK", [["Content-Type", "text/plain"]], None],
)


def response_values(event):
    """Names and values."""
    headers = [list(header) for header in event["response_headers"]]
    return [sorted(event), event["response_status"], headers, event["exception_info"]]


told(
    "events-finished",
    "request_finished has what it took",
    heard("events-finished"),
    lambda events: [name for name in FINISHED if name not in payload(events, "request_finished")],
    [],
)
told(
    "events-finished-values",
    "bytes, writes and the status are counted",
    heard("events-finished-values"),
    lambda events: finished_values(payload(events, "request_finished")),
    [5, True, 7, 2, 200, [], True],
    answer=parts,
)


def finished_values(event):
    """Numbers, as far as they are known beforehand."""
    times = [name for name in FINISHED if name.endswith("_time")]
    return [
        event["input_length"],
        event["input_reads"] >= 1,
        event["output_length"],
        event["output_writes"],
        event["status"],
        [name for name in times if not 0 <= event[name] < 60],
        event["application_finish"] >= event["daemon_start"],
    ]


def burn(environ, start_response):
    """Uses the processor for a while."""
    end = time.thread_time() + 0.1
    while time.thread_time() < end:
        pass
    return text(start_response)


told(
    "events-processor",
    "so is the thread's processor time",
    heard("events-processor"),
    lambda events: processor_values(payload(events, "request_finished")),
    [True, True],
    answer=burn,
)


def processor_values(event):
    """At least what was burnt, and its two parts."""
    user, system, both = (event[name] for name in PROCESSOR)
    return [0.08 <= both <= event["application_time"] + 1e-6, abs(user + system - both) < 1e-6]


told(
    "events-middleware",
    "a subscriber of request_started can replace the application",
    heard("events-middleware", ("X-Hand", "wrap")),
    lambda events: payload(events, "request_started")["request_environ"].get("wrapped"),
    "yes",
)
told(
    "events-header",
    "a header that a subscriber appends goes out",
    heard("events-header", ("X-Hand", "header")),
    lambda events: None,
    None,
    expect=Expect(headers={"X-Added": "by a subscriber"}),
)
told(
    "events-merge",
    "what a subscriber returns is given to those after it",
    heard("events-merge", ("X-Hand", "merge")),
    lambda events: HEARD.pop("events-merge+"),
    [[name, name] for name in ("request_started", "response_started", "request_finished")],
)
told(
    "events-callback-raises",
    "a subscriber that raises harms nobody, and the log says so",
    heard("events-callback-raises", ("X-Hand", "raise")),
    names,
    ["request_started", "response_started", "request_finished"],
    expect=Expect(log=logged("a subscriber fails on purpose")),
)


def fail(environ, start_response):
    """Raises."""
    raise RuntimeError("the application fails on purpose")


told(
    "events-exception",
    "an exception is an event between the others, with its exc_info",
    heard("events-exception"),
    lambda events: [names(events), *exception_values(payload(events, "request_exception"))],
    [
        ["request_started", "request_exception", "request_finished"],
        ["exception_info", "request_data", "request_id"],
        ["RuntimeError", "RuntimeError", "traceback"],
    ],
    answer=fail,
    expect=failed("the application fails on purpose"),
)


def exception_values(event):
    """Names, and what exc_info is made of."""
    kind, error, trace = event["exception_info"]
    return [sorted(event), [kind.__name__, type(error).__name__, type(trace).__name__]]


told(
    "events-status-none",
    "a request without a response has the status that httpd answers it with",
    heard("events-status-none"),
    lambda events: payload(events, "request_finished")["status"],
    500,
    answer=fail,
    expect=failed("the application fails on purpose"),
)


def give_up(environ, start_response):
    """Ends as if it had taken too long."""
    start_response("200 OK", [])
    raise mod_wsgi.RequestTimeout()


told(
    "events-timeout",
    "a request that RequestTimeout ends is no exception, and has the status that the client sees",
    heard("events-timeout"),
    lambda events: [names(events), payload(events, "request_finished")["status"]],
    [["request_started", "response_started", "request_finished"], 504],
    answer=give_up,
    expect=failed("Request interrupted by RequestTimeout; thread recovered.", status=504),
)


def tell_data(environ, start_response):
    """Looks at the data of its request, and adds to it."""
    data = mod_wsgi.request_data()
    data["added"] = "by the application"
    known = mod_wsgi.active_requests[environ["mod_wsgi.request_id"]] is data
    return text(start_response, repr([data["left"], known]).encode())


told(
    "events-data",
    "a request's data is one dict from the first event to the last, and in active_requests meanwhile",
    heard("events-data", ("X-Hand", "data")),
    lambda events: payload(events, "request_finished")["request_data"],
    {"left": "by a subscriber", "added": "by the application"},
    answer=tell_data,
    expect=Expect(body=b"['by a subscriber', True]"),
)


@row(
    "subscribers are in lists, and come back as they were given",
    CLAUSE,
    (get(), Expect(json=[True] * 4)),
    group=GROUP,
)
def event_lists(environ, start_response):
    return report(
        start_response,
        [
            RETURNED is hear,
            mod_wsgi.event_callbacks[:2] == [hear, hear_later],
            mod_wsgi.signal_callbacks == [hear_signal],
            mod_wsgi.shutdown_callbacks == [],
        ],
    )


SERVED = []


@row(
    "each request has data of its own, which goes with it",
    "compat 4.7",
    *[(get(), Expect(json=[{}, True, True]))] * 2,
)
def own_data(environ, start_response):
    before = dict(mod_wsgi.request_data())
    mod_wsgi.request_data()["mine"] = True
    gone = awaited(lambda: not set(SERVED) & set(mod_wsgi.active_requests))
    SERVED.append(environ["mod_wsgi.request_id"])
    return report(start_response, [before, gone, SERVED[-1] in mod_wsgi.active_requests])


@row(
    "a thread without a request has no data",
    "compat 4.7",
    (get(), Expect(json=["RuntimeError", "no active request for thread"])),
)
def no_data(environ, start_response):
    seen = []
    thread = threading.Thread(target=lambda: seen.extend(raised(mod_wsgi.request_data)))
    thread.start()
    thread.join()
    return report(start_response, seen)


@row(
    "SIGHUP and SIGUSR2 are events, told outside of the main thread",
    CLAUSE,
    (
        get(),
        Expect(
            json=[
                ["process_signal", {"signame": "SIGHUP", "signum": 1}, False],
                ["process_signal", {"signame": "SIGUSR2", "signum": 12}, False],
            ]
        ),
    ),
    group=GROUP,
)
def signal_events(environ, start_response):
    SIGNALS.clear()
    for number in (signal.SIGHUP, signal.SIGUSR2):
        before = len(SIGNALS)
        os.kill(os.getpid(), number)
        awaited(lambda: len(SIGNALS) > before)
    return report(start_response, SIGNALS)
