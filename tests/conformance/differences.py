"""Where mod_wsgi's newest release does otherwise than a row says, and why this project does not follow it."""

from dataclasses import dataclass

from .protocols import HTTP_1_1, HTTP_2

BOTH = (HTTP_1_1, HTTP_2)


@dataclass(frozen=True)
class Difference:
    """Rows (slugs, or patterns all of whose rows differ), what mod_wsgi does, and why not here."""

    rows: tuple[str, ...]
    theirs: str
    why: str
    protocols: tuple[str, ...] = BOTH
    # False where it depends on who is quicker.
    always: bool = True


NOTE = Difference((), "sets no note wsgi-error.", "an access log can say which message a request met.")

DIFFERENCES = [
    # --- Requests ----------------------------------------------------------------------------------
    Difference(
        ("read-none*",),
        "read(None) is a TypeError.",
        "every file of Python's takes None for all, and wsgiref.validate allows it.",
    ),
    Difference(
        ("echo-parts",),
        "a body and an equally large response wait for each other for ever: the body goes first, all of it.",
        "the worker asks for the body in parts, so neither side ever waits for a reader.",
    ),
    Difference(
        ("chunks-refused",),
        "the line on a refused chunked body does not name the directive.",
        "the line says what to configure.",
        (HTTP_1_1,),
    ),
    Difference(
        ("continue-buffered",),
        "runs the application before the body has come, and answers 100 meanwhile.",
        "a slow client's body is read before a thread is taken for it.",
        always=False,
    ),
    Difference(
        ("continue-unbuffered", "continue-read-zero", "continue-never"),
        "answers 100 always, and before the application has asked for the body.",
        "with request-buffer-size=0 it is the application that decides, as PEP 3333 wants it.",
        (HTTP_1_1,),
    ),
    Difference(
        ("dripping-in", "dripping-out"),
        "a slow client holds a Python thread while it sends and while it reads.",
        "bodies are buffered before, responses after the application.",
    ),
    Difference(
        (
            "read-[!n]*",
            "read-nothing",
            "readline*",
            "readlines*",
            "iteration*",
            "close-input",
            "every-byte-in*",
            "long-body*",
            "long-lines*",
            "too-large",
            "just-small-enough",
        ),
        "gives the application nothing of a body whose length HTTP/2 did not announce.",
        "there is no chunked coding in HTTP/2; the body is what its frames carry.",
        (HTTP_2,),
    ),
    Difference(
        ("too-large",),
        "runs the application before it knows how long a chunked body is.",
        "what is too large is refused before the application runs.",
        (HTTP_1_1,),
        always=False,
    ),
    # --- Responses ---------------------------------------------------------------------------------
    Difference(
        ("length-of-*", "empty-list", "empty-block*", "one-megabyte"),
        "a list of one block gets no Content-Length.",
        "PEP 3333 suggests it, and a response with a length needs no chunks.",
    ),
    Difference(
        ("length-missed", "length-missed-entirely", "midway-of-length", "killed-midway-of-length"),
        "keeps the connection after fewer bytes than announced: the client waits, or takes the next reply's.",
        "the connection ends, which shows that something is missing.",
        (HTTP_1_1,),
    ),
    Difference(
        (
            "length-missed",
            "length-missed-entirely",
            "midway-of-length",
            "killed-midway-of-length",
            "file-length-larger",
        ),
        "ends a stream in order that has fewer bytes than announced, and may lose what there was.",
        "the stream is reset.",
        (HTTP_2,),
        always=False,
    ),
    Difference(
        ("file-whole", "close-for-head", "head-body-dropped", "head-map-*"),
        "sends bytes in answer to HEAD: mod_http2 drops the first part of a body alone.",
        "HEAD has no body: RFC 9110, 9.3.2.",
        (HTTP_2,),
        always=False,
    ),
    Difference(
        ("killed", "ended"),
        "tells of a worker that died as WSGI0146 or WSGI0147, by what its socket says.",
        "one number for one thing.",
        always=False,
    ),
    Difference(
        ("midway", "killed-midway", "close-after-late-error"),
        "ends a response that failed midway as if it were whole.",
        "no last chunk is sent and a stream is reset, so that nobody takes or keeps half for all.",
    ),
    Difference(
        ("file-length-larger",),
        "keeps the connection after a file that is shorter than announced, and holds a part of it back.",
        "the connection ends after the file.",
        (HTTP_1_1,),
    ),
    Difference(
        ("range-first", "range-middle", "range-open", "range-suffix", "range-beyond", "range-if-same"),
        "sends all of a file to whoever asks for a part.",
        "files are sent by httpd, which knows ranges.",
    ),
    Difference(
        ("headers-nul-name", "headers-nul-value", "status-nul"),
        "cuts a status or a header off at NUL.",
        "what can't be sent is an error, as with CR and LF.",
    ),
    Difference(
        ("status-interim", "status-below-200"),
        "sends a status below 200 as the response, after which the connection is out of step.",
        "such a status can't be a response: RFC 9110, 15.2.",
    ),
    Difference(
        ("exc-info-type",),
        "an exc_info that is no tuple is a RuntimeError.",
        "a wrong type is a TypeError.",
    ),
    Difference(
        ("duplicates-separate*", "links-twice"),
        "joins headers of one name by commas.",
        "they arrive as the application said them; not every field is a list.",
    ),
    Difference(
        ("hop-*",),
        "sends an application's hop-by-hop headers on, or drops some without a word.",
        "they are httpd's to say (PEP 3333), and a warning names them.",
    ),
    Difference(
        ("queue-timeout", "queue-full"),
        "notices queue-timeout only when a thread comes free, and has no bound on how many wait.",
        "whoever waits is answered when the time is over, or at once when too many wait.",
        (HTTP_1_1,),
    ),
    # --- Access control and dispatch ---------------------------------------------------------------
    Difference(
        ("password-nul",),
        "cuts the name of a user off at NUL, and lets in whoever that makes.",
        "what can't be the name of a user is an error.",
    ),
    Difference(
        ("groups-torn",),
        "goes by the groups it has got where their list fails midway.",
        "what fails lets nobody in.",
    ),
    Difference(
        ("dispatch-broken",),
        "serves the request as configured where a dispatch script does not load.",
        "it may have been meant to go elsewhere: an error closes, as in scripts of access control.",
    ),
    # --- The module mod_wsgi -----------------------------------------------------------------------
    Difference(
        ("request-ids",),
        "has no mod_wsgi.connection_id unless httpd has logged something of the connection.",
        "httpd makes the id when it is asked to.",
        (HTTP_1_1,),
    ),
    Difference(
        ("module-spec",),
        "is a module without a __spec__, on which importlib.util.find_spec() raises ValueError.",
        "that is how applications ask whether the module is there.",
    ),
    # --- Logs --------------------------------------------------------------------------------------
    Difference(
        ("events-callback-raises",),
        "logs what a subscriber raised in the main server's log.",
        "it happened in a request, whose log has it.",
    ),
    Difference(
        ("log-long", "log-nul"),
        "cuts a line off near 8 KiB and at NUL.",
        "a long line is continued and NUL is shown.",
    ),
]
