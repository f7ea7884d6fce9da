"""Sends the file that the query names with wsgi.file_wrapper, from the offset in the path. /length/N
announces N bytes; /object sends something that is no file."""

import io


def application(environ, start_response):
    _, how, *number = environ["PATH_INFO"].split("/")
    headers = [("Content-Type", "application/octet-stream")]
    if how == "object":
        start_response("200 OK", headers)
        return environ["wsgi.file_wrapper"](io.BytesIO(b"no file, but " * 1000), 7)
    file = open(environ["QUERY_STRING"], "rb")
    if how == "offset":
        file.seek(int(number[0]))
    if how == "length":
        headers.append(("Content-Length", number[0]))
    start_response("200 OK", headers)
    return environ["wsgi.file_wrapper"](file)
