"""What came back, the same of every protocol."""

import json
from dataclasses import dataclass, field


@dataclass
class Reply:
    """A response. `whole` is true if it ended as its framing promised."""

    status: int = 0
    reason: str | None = None
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    whole: bool = False
    interim: list[int] = field(default_factory=list)
    # How the end came: "" if the exchange ended before the connection, or Wire's word, or HTTP/2's reset.
    ended: str = ""

    def all(self, name):
        """Every value of a header."""
        return [value for given, value in self.headers if given.lower() == name.lower()]

    def header(self, name):
        """The first value of a header, or None."""
        return next(iter(self.all(name)), None)

    def json(self):
        """The body as JSON, or as it is where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return self.body

    def __str__(self):
        lines = [f"{self.status} {self.reason or ''}".rstrip(), *(f"{n}: {v}" for n, v in self.headers)]
        shown = self.body if len(self.body) <= 300 else self.body[:300] + b"..."
        return "\n".join([*lines, repr(shown), f"whole: {self.whole}, ended: {self.ended or 'no'}"])


def bodiless(method, status):
    """Has such a response no body, whatever its headers say? RFC 9110, 6.4.1."""
    return method == "HEAD" or status < 200 or status in (204, 304)
