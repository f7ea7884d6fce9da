"""Upload, list and stream: what a project has beside its admin pages."""

from django.core.files.storage import default_storage
from django.http import FileResponse, HttpResponse, StreamingHttpResponse
from django.middleware.csrf import get_token


def numbered_lines(count):
    for number in range(count):
        yield b"line %07d\n" % number


def upload(request):
    if request.method == "GET":
        return HttpResponse(get_token(request), content_type="text/plain")
    upload = request.FILES["document"]
    name = default_storage.save(upload.name, upload)
    answer = "%s %d %s" % (name, upload.size, request.POST["title"])
    return HttpResponse(answer, content_type="text/plain; charset=utf-8")


def download(request, count):
    return StreamingHttpResponse(numbered_lines(count), content_type="text/plain")


def file(request, name):
    return FileResponse(default_storage.open(name))


def where(request):
    return HttpResponse(request.build_absolute_uri(), content_type="text/plain")


def broken(request):
    raise RuntimeError("the view fails on purpose")
