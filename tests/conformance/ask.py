"""What a row asks: one request, whatever protocol will carry it."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Ask:
    """A request. Its target is the row's own path, `path` after that, and the query."""

    method: str = "GET"
    path: str = ""
    query: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    # A length is announced; otherwise chunks (HTTP/1.1) or frames (HTTP/2) say where the body ends.
    announced: bool = True
    # Nothing but this is the target.
    target: str | None = None

    def with_headers(self, *headers):
        """The same with further headers."""
        return replace(self, headers=self.headers + headers)

    @property
    def framing(self):
        """The headers that say how long the body is, as HTTP/1 wants them."""
        if self.body is None:
            return ()
        if self.announced:
            return (("Content-Length", str(len(self.body))),)
        return (("Transfer-Encoding", "chunked"),)


def get(path="", *headers, **more):
    """GET."""
    return Ask("GET", path, headers=headers, **more)


def head(path="", *headers, **more):
    """HEAD."""
    return Ask("HEAD", path, headers=headers, **more)


def post(body, *headers, path="", **more):
    """POST."""
    return Ask("POST", path, headers=headers, body=body, **more)


def unannounced(body, *headers, path="", **more):
    """POST with a body of unannounced length."""
    return post(body, *headers, path=path, announced=False, **more)
