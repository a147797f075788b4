"""All routers in one app: what uvicorn serves on a laptop or in a container."""

from functions import health
from functions.app import create_app
from functions.catalog import models, registry
from functions.inference.routes import ROUTERS
from shared.settings import settings

app = create_app(settings(), [health.router, *ROUTERS, models.router, registry.router], on_loopback=True)
