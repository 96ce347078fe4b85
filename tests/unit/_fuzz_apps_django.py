"""Events on Django, whose forms read what comes; what is not planted keeps its word."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable
from typing import Any

import django
from django import forms
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import JsonResponse
from django.urls import path

from tests.unit._fuzz_apps import answers, query

__all__ = ["PLANTED", "app_of"]

PLANTED = {
    ("server_error", "GET /week"),
    ("response_headers", "GET /events"),
    ("valid_data_rejected", "POST /events"),
    ("negative_data_accepted", "POST /events"),
}
"Checks and operations of the planted defects."

_EVENT = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 30, "pattern": "^[a-z]+$"},
        "seats": {"type": "integer", "minimum": 1, "maximum": 10000},
    },
    "required": ["name"],
}
_LISTED = answers({"200": {"type": "array"}, "400": None})
_LISTED["200"]["headers"] = {"X-Total": {"required": True, "schema": {"type": "integer"}}}
_DOCUMENT = {
    "openapi": "3.0.3",
    "info": {"title": "Events", "version": "1"},
    "paths": {
        "/week": {
            "get": {
                "parameters": [query("day", {"type": "string", "format": "date"}, required=True)],
                "responses": answers({"200": {"type": "object"}, "400": None}),
            }
        },
        "/events": {
            "get": {
                "parameters": [query("page", {"type": "integer", "enum": [1, 2, 3]})],
                "responses": _LISTED,
            },
            "post": {
                "requestBody": {
                    "required": True,
                    "content": {"application/x-www-form-urlencoded": {"schema": _EVENT}},
                },
                "responses": answers({"201": {"type": "object"}, "400": None}),
            },
        },
    },
}


def app_of() -> Callable[..., Any]:
    """The application; Django has one in a process."""
    if not settings.configured:
        settings.configure(ROOT_URLCONF=__name__, SECRET_KEY="tests", ALLOWED_HOSTS=["*"], DEBUG=False)
        django.setup()
    logging.getLogger("django.request").setLevel(logging.CRITICAL)
    return get_wsgi_application()


def _json(value: Any, status: int = 200) -> Any:
    return JsonResponse(value, status=status, safe=False)


def _week(request: Any) -> Any:
    class Asked(forms.Form):
        day = forms.DateField()

    form = Asked(request.GET)
    if request.method != "GET" or not form.is_valid():
        return _json({}, 405 if request.method != "GET" else 400)
    day = form.cleaned_data["day"]
    return _json({"until": (day + dt.timedelta(days=7)).isoformat()})  # planted: the last week there is


def _events(request: Any) -> Any:
    class Event(forms.Form):
        name = forms.CharField(max_length=30, strip=False)  # planted: the document wants small letters
        # Planted: the document says 1 to 10000.
        seats = forms.IntegerField(min_value=0, max_value=5000, required=False)

    if request.method == "GET":
        if request.GET.get("page", "1") not in ("1", "2", "3"):
            return _json({}, 400)
        answer = _json([])
        if request.GET.get("page", "1") == "1":  # planted: no header on other pages
            answer["X-Total"] = "0"
        return answer
    form = Event(request.POST)
    if request.method != "POST" or not form.is_valid():
        return _json({}, 405 if request.method != "POST" else 400)
    return _json({"name": form.cleaned_data["name"]}, 201)


urlpatterns = [
    path("openapi.json", lambda request: _json(_DOCUMENT)),
    path("week", _week),
    path("events", _events),
]
