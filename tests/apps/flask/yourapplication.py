"""A Flask application with a session, a form that is protected, an upload and a stream."""

import os

from flask import Flask, Response, request, send_file, session
from flask_wtf.csrf import CSRFProtect, generate_csrf

HERE = os.path.dirname(os.path.abspath(__file__))
UPLOADS = os.path.join(HERE, "uploads")

app = Flask(__name__)
app.secret_key = "for tests alone"
CSRFProtect(app)


@app.get("/token")
def token():
    return generate_csrf()


@app.post("/login")
def login():
    session["user"] = request.form["user"]
    return "welcome"


@app.get("/me")
def me():
    return session.get("user", "nobody")


@app.post("/upload")
def upload():
    document = request.files["document"]
    document.save(os.path.join(UPLOADS, document.filename))
    return "%s %s" % (document.filename, request.form["title"])


@app.get("/file/<name>")
def file(name):
    return send_file(os.path.join(UPLOADS, name))


@app.get("/download/<int:count>")
def download(count):
    lines = (b"line %07d\n" % number for number in range(count))
    return Response(lines, mimetype="text/plain")


@app.get("/broken")
def broken():
    raise RuntimeError("the view fails on purpose")
