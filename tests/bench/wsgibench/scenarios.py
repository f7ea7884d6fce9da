"""The scenarios: which application, which load, what is looked at."""

from dataclasses import dataclass

from .load import Requests, Transfers

DOWNLOADS = Transfers(upload=False)
UPLOADS = Transfers(upload=True)
SENDFILE = "EnableSendfile On"
NAP = 0.05


@dataclass(frozen=True)
class Scenario:
    """One load on one application."""

    name: str
    title: str
    app: str
    target: str
    load: Requests | Transfers
    # Whether httpd can answer the same by itself, from a file.
    static: bool = True
    # For httpd's configuration, of every peer. With more busy connections than threads, httpd closes
    # kept-alive ones to make room, which a generator counts as errors: a crowd gets enough threads.
    httpd_threads: int = 64
    directives: str = ""
    # Seconds that an application sleeps for each request, which bounds the rate.
    nap: float | None = None
    # Whether processes are weighed: how they grow in each round, or what they hold at rest.
    growth: bool = False
    rest: bool = False

    @property
    def transfers(self):
        """Are bytes what counts?"""
        return isinstance(self.load, Transfers)


def hello(connections, keep_alive):
    """One of the six."""
    how = "kept alive" if keep_alive else "closed after each request"
    plural = "connection" if connections == 1 else "connections"
    return Scenario(
        name=f"hello-{connections}" + ("" if keep_alive else "-close"),
        title=f"Hello, {connections} {plural}, {how}",
        app="hello",
        target="/hello",
        load=Requests(connections, keep_alive),
        httpd_threads=256 if connections > 64 else 64,
    )


SCENARIOS = [
    *(hello(connections, keep_alive) for keep_alive in (True, False) for connections in (1, 16, 200)),
    Scenario("flask", "A JSON view of Flask's, 16 connections", "flask_json", "/articles", Requests(16)),
    Scenario("body-100k", "An answer of 100 KiB, 16 connections", "body", "/100k", Requests(16)),
    Scenario("body-1m", "An answer of 1 MiB, 16 connections", "body", "/1m", Requests(16)),
    Scenario("file", "100 MiB through wsgi.file_wrapper, 1 connection", "file", "/100m", DOWNLOADS),
    Scenario(
        "file-sendfile", "The same with EnableSendfile On", "file", "/100m", DOWNLOADS, directives=SENDFILE
    ),
    Scenario(
        "upload", "An upload of 100 MiB, read in blocks of 64 KiB", "upload", "/upload", UPLOADS,
        static=False, growth=True,
    ),
    # A crowd of 1,000 is served in 1.7 s at the ideal rate, if first come are first served: a
    # generator that gave up after 2 s would count a little unfairness as failure.
    Scenario(
        "sleeper", "An application that sleeps for 50 ms, 1,000 connections", "sleeper", "/rest",
        Requests(1000, stretch=2.5, timeout=5), static=False, nap=NAP, httpd_threads=1024,
    ),
    Scenario("memory", "Memory at rest, after hello with 16 connections", "hello", "/hello", Requests(16), rest=True),
]  # fmt: skip
