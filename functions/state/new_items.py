"""Items that a caller adds to a conversation, as they are kept."""

from collections.abc import Sequence
from typing import Any

from functions.services import Services
from functions.state.lookup import reachable
from functions.state.turn import resolved, with_ids
from shared.ids import new_id
from shared.limits import Tenant
from shared.responses.context import Placed
from shared.responses.ids import response_id
from shared.state.record import Items


async def new_items(
    services: Services, tenant: Tenant, items: Sequence[dict[str, Any]], there: Items | None = None
) -> Items:
    """With ids. Raises InvalidRequest for one that is in `there` already, NotFound for a reference to none."""
    placed = [Placed(item, f"items[{i}]") for i, item in enumerate(items)]
    with reachable():
        whole = await resolved(services, tenant, there or [], placed)
    return with_ids([each.item for each in whole], response_id(new_id()))
