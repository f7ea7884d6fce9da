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


NOTE = Difference((), "sets no note wsgi-error.", "an access log can say which message a request met.")

DIFFERENCES = [
]
