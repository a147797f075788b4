"""`/v1/conversations`: the request bodies (OpenAI API reference, "Conversations")."""

from functools import cached_property
from typing import Annotated, Any, Final

from pydantic import WithJsonSchema

from shared.schema.body import Body, json_type, validate, wrong
from shared.schema.fields import Metadata
from shared.schema.response_items import Item, item_of

ITEMS_MAX: Final = 20
"""Items that one request may add."""

_Items = Annotated[Any, WithJsonSchema({"type": "array", "items": {"type": "object"}, "maxItems": ITEMS_MAX})]


class _WithItems(Body):
    items: _Items = None

    @cached_property
    def parsed(self) -> list[Item]:
        """The items in their plain form. Raises InvalidRequest or UnsupportedParameter."""
        if self.items is None:
            return []
        if not isinstance(self.items, list):
            raise wrong("items", f"expected an array, not {json_type(self.items)}")
        if len(self.items) > ITEMS_MAX:
            raise wrong("items", f"at most {ITEMS_MAX} items can be added at a time")
        return [item_of(item, f"items[{i}]") for i, item in enumerate(self.items)]


class CreateConversation(_WithItems):
    metadata: Metadata | None = None


class UpdateConversation(Body):
    metadata: Metadata


class CreateItems(_WithItems):
    items: _Items


def parse_create(body: dict[str, Any]) -> CreateConversation:
    """Raises InvalidRequest with `param`; `parsed` checks the items."""
    return validate(CreateConversation, body, {})


def parse_update(body: dict[str, Any]) -> UpdateConversation:
    """Raises InvalidRequest with `param`."""
    return validate(UpdateConversation, body, {})


def parse_items(body: dict[str, Any]) -> CreateItems:
    """Raises InvalidRequest with `param`; `parsed` checks the items."""
    return validate(CreateItems, body, {})
