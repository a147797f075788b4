"""All routers in one app: what uvicorn serves on a laptop or in a container."""

from functions import health
from functions.app import create_app
from functions.catalog import models
from functions.inference import chat
from shared.settings import settings

app = create_app(settings(), [health.router, chat.router, models.router], on_loopback=True)
