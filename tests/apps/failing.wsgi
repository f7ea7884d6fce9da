"""Goes wrong in the way that the path names."""


def midway():
    yield b"a part\n"
    raise RuntimeError("raised midway on purpose")


def application(environ, start_response):
    how = environ["PATH_INFO"].lstrip("/")
    headers = [("Content-Type", "text/plain")]
    if how == "before":
        raise RuntimeError("raised before start_response on purpose")
    if how == "exit":
        raise SystemExit(3)
    if how == "no-start":
        return [b"nobody called start_response"]
    status = {"status": "2OO OK", "status-split": "200 OK\r\nX-Split: yes"}.get(how, "200 OK")
    if how.startswith("status-") and how[7:].isdigit():
        status = how[7:] + " On Purpose"
    if how == "header-name":
        headers.append(("X Y", "v"))
    if how == "header-split":
        headers.append(("X-Header", "v\r\nX-Split: yes"))
    if how == "headers-tuple":
        headers = tuple(headers)
    start_response(status, headers)
    if how == "after-start":
        raise RuntimeError("raised after start_response on purpose")
    if how == "midway":
        return midway()
    if how == "short":
        start_response("200 OK", [("Content-Length", "1000")])
        return [b"short"]
    if how == "none":
        return None
    if how == "text":
        return ["text, not bytes"]
    return [b"it did not fail\n"]
