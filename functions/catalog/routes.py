"""The catalog function's routes: models, and Ollama's way of managing them."""

from functions.catalog import blobs, making, manage, models, moving, registry

ROUTERS = [models.router, manage.router, making.router, moving.router, blobs.router, registry.router]
