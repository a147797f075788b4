"""The catalog function behind API Gateway."""

from mangum import Mangum

from functions import health
from functions.app import TEXT_TYPES, create_app
from functions.catalog.routes import ROUTERS
from shared import logs
from shared.settings import settings

logs.configure(settings().log_level)

handler = Mangum(create_app(settings(), [health.router, *ROUTERS]), lifespan="off", text_mime_types=TEXT_TYPES)
