"""A view as people write them: Flask, a route, JSON."""

from flask import Flask, jsonify

application = Flask(__name__)


@application.get("/articles")
def articles():
    """Twenty articles of a made-up magazine."""
    return jsonify(
        articles=[
            {"id": number, "title": f"Article {number}", "tags": ["python", "web"], "draft": False}
            for number in range(20)
        ]
    )
