"""The catalog function behind API Gateway."""

from mangum import Mangum

from functions import health
from functions.app import create_app
from functions.catalog import models
from shared.settings import settings

handler = Mangum(create_app(settings(), [health.router, models.router]), lifespan="off")
