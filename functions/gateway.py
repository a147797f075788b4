"""All routers in one app: what uvicorn serves on a laptop or in a container."""

from functions import health
from functions.app import create_app
from functions.catalog.routes import ROUTERS as CATALOG
from functions.inference.routes import ROUTERS as INFERENCE
from shared.settings import settings

app = create_app(settings(), [health.router, *INFERENCE, *CATALOG], on_loopback=True)
