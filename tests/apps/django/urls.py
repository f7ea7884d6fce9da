"""The addresses of the project."""

from django.contrib import admin
from django.urls import path

from mysite import views

urlpatterns = [
    path("admin/", admin.site.urls),
    path("upload/", views.upload),
    path("download/<int:count>/", views.download),
    path("file/<path:name>", views.file),
    path("where/", views.where),
    path("broken/", views.broken),
]
