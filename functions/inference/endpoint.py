"""What the routes share: the body in the OpenAPI document, and the answer that is not streamed."""

from collections.abc import Coroutine
from typing import Any

import orjson
from fastapi import Request, Response
from pydantic import BaseModel

from functions.disconnect import ClientGone, unless_gone


def body_of(model: type[BaseModel]) -> dict[str, Any]:
    """`openapi_extra` of a route that reads its body itself."""
    schema = model.model_json_schema()
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


async def whole(request: Request, work: Coroutine[Any, Any, dict[str, Any]]) -> Response:
    """The JSON answer that `work` comes to. A client that leaves before it is there cancels the work."""
    try:
        body = await unless_gone(request.receive, work)
    except ClientGone:
        return Response(status_code=499)
    return Response(orjson.dumps(body), media_type="application/json")
