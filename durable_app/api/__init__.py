"""The REST API: ``path("api/durable/", include("durable_app.api.urls"))``.

Needs Django REST framework, and drf-spectacular for the OpenAPI document; a project that does not include
these URLs needs neither. What is done here is done by ``control``, as in the admin and by the commands.
"""
