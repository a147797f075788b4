"""The items of a conversation as the messages of a chat, which the engine reads; and an answer as items of the next.

An assistant's turn is one message: what it thought, said and called, until a result or another role comes.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from shared.errors import InvalidRequest, NotFound, PunaError

REFERENCE = "item_reference"


class Placed(NamedTuple):
    """An item, and where the request has it: `input[2]`, or the field that brought it, `previous_response_id`."""

    item: Mapping[str, Any]
    at: str


class Conversation(NamedTuple):
    """Messages in the engine's form; for each, where in the request its content is."""

    messages: list[dict[str, Any]]
    places: list[str]


def placed(items: Sequence[Mapping[str, Any]]) -> list[Placed]:
    """The items of a request's `input`."""
    return [Placed(item, f"input[{i}]") for i, item in enumerate(items)]


def carried(items: Iterable[Mapping[str, Any]], field: str) -> list[Placed]:
    """Items of earlier turns, which a field of the request stands for."""
    return [Placed(item, field) for item in items]


def references(items: Iterable[Placed]) -> list[str]:
    """The ids that items refer to, each once."""
    return list(dict.fromkeys(each.item["id"] for each in items if each.item["type"] == REFERENCE))


def referred(items: Iterable[Placed], found: Mapping[str, Mapping[str, Any]]) -> list[Placed]:
    """The items with each reference replaced by its item. Raises NotFound with `param` for one that is not there."""
    whole = []
    for item, at in items:
        if item["type"] == REFERENCE:
            if item["id"] not in found:
                raise NotFound(f"Item with id '{item['id']}' not found.", param=f"{at}.id")
            whole.append(Placed(found[item["id"]], at))
        else:
            whole.append(Placed(item, at))
    return whole


def conversation(
    items: Iterable[Placed],
    instructions: str | None = None,
    unseal: Callable[[str], str] | None = None,
) -> Conversation:
    """The chat of items without references. `instructions` are its first message, of the role `system`.

    `unseal` opens encrypted thoughts; it raises InvalidRequest. Raises InvalidRequest with `param` for the output of a
    call that is not there, for a thought at the end, and for an encrypted thought when nothing can open it.
    """
    writer = _Writer(unseal)
    if instructions:
        writer.message({"role": "system", "content": instructions}, "instructions")
    for item, at in items:
        writer.add(item, at)
    return writer.finished()


class _Writer:
    """Messages, one item after another."""

    def __init__(self, unseal: Callable[[str], str] | None) -> None:
        self._unseal = unseal
        self._messages: list[dict[str, Any]] = []
        self._places: list[str] = []
        self._names: dict[str, str] = {}
        """Functions by the calls that have been made."""
        self._turn: dict[str, Any] | None = None
        """The assistant's message that may go on."""

    def message(self, message: dict[str, Any], place: str) -> None:
        self._turn = None
        self._messages.append(message)
        self._places.append(place)

    def add(self, item: Mapping[str, Any], at: str) -> None:
        match item["type"]:
            case "message" if item["role"] == "assistant":
                self._said(_content(item["content"]), at)
            case "message":
                role = "system" if item["role"] == "developer" else item["role"]
                self.message({"role": role, "content": _content(item["content"])}, _at(at, "content"))
            case "reasoning":
                self._thought(item, at)
            case "function_call":
                self._called(item, at)
            case "function_call_output":
                self._result(item, at)

    def finished(self) -> Conversation:
        if self._turn is not None and not self._turn.get("tool_calls") and "content" not in self._turn:
            raise InvalidRequest(
                "An item of type 'reasoning' was given without the item that follows it.", param=self._places[-1]
            )
        for message in self._messages:
            message.setdefault("content", "")
        return Conversation(self._messages, self._places)

    def _said(self, content: Any, at: str) -> None:
        turn = self._assistant(at, new=self._turn is not None and "content" in self._turn and not self._calling)
        said = turn.get("content")
        turn["content"] = f"{said}\n{content}" if said else content

    def _thought(self, item: Mapping[str, Any], at: str) -> None:
        thought = self._text_of(item, at)
        turn = self._assistant(at, new=self._turn is not None and ("content" in self._turn or self._calling))
        if thought:
            before = turn.get("reasoning_content")
            turn["reasoning_content"] = f"{before}\n{thought}" if before else thought

    def _called(self, item: Mapping[str, Any], at: str) -> None:
        turn = self._assistant(at, new=False)
        function = {"name": item["name"], "arguments": item["arguments"] or "{}"}
        turn.setdefault("tool_calls", []).append({"id": item["call_id"], "type": "function", "function": function})
        self._names[item["call_id"]] = item["name"]

    def _result(self, item: Mapping[str, Any], at: str) -> None:
        call_id, output = item["call_id"], item["output"]
        if call_id not in self._names:
            raise InvalidRequest(
                f"No tool call found for function call output with call_id {call_id}.", param=_at(at, "call_id")
            )
        self.message(
            {
                "role": "tool",
                "tool_call_id": call_id,
                "name": item.get("name") or self._names[call_id],
                "content": output if isinstance(output, str) else _content(output),
            },
            _at(at, "output"),
        )

    @property
    def _calling(self) -> bool:
        return self._turn is not None and "tool_calls" in self._turn

    def _assistant(self, at: str, *, new: bool) -> dict[str, Any]:
        if self._turn is None or new:
            turn: dict[str, Any] = {"role": "assistant"}
            self.message(turn, _at(at, "content"))
            self._turn = turn
        return self._turn

    def _text_of(self, item: Mapping[str, Any], at: str) -> str:
        """What was thought. Of an item that the caller sends, the encrypted text is the one that counts."""
        plain = "".join(part["text"] for part in item.get("content") or item.get("summary") or ())
        sealed = item.get("encrypted_content")
        if not sealed or (plain and not at.startswith("input")):
            return plain
        param = _at(at, "encrypted_content")
        if self._unseal is None:
            raise InvalidRequest(
                "The encrypted content cannot be opened: the server has no 'PUNA_STATE_KEY'.", param=param
            )
        try:
            return self._unseal(sealed)
        except PunaError as error:
            error.param = param
            raise


def _at(at: str, field: str) -> str:
    return f"{at}.{field}" if at.startswith("input") else at


def _content(parts: Sequence[Mapping[str, Any]]) -> str | list[dict[str, Any]]:
    """A chat's content: texts alone are joined by line breaks."""
    if all(part["type"] != "input_image" for part in parts):
        return "\n".join([part["text"] for part in parts])
    return [
        {"type": "image_url", "image_url": {"url": part["image_url"]}}
        if part["type"] == "input_image"
        else {"type": "text", "text": part["text"]}
        for part in parts
    ]
