"""The record of a response in both of its forms, and where it is kept."""

from pathlib import Path
from typing import Any

import pytest

from functions.authenticate import owner_of
from shared.catalog.store import open_state
from shared.job import JobSpec
from shared.limits import ANONYMOUS
from shared.responses.head import Head
from shared.settings import Settings
from shared.state import places
from shared.state.conversation import Conversation
from shared.state.record import StoredResponse, as_object

ID = "resp_" + "0" * 32


def message(text: str, id: str = "msg_1") -> dict[str, Any]:
    return {"id": id, "type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


def record(**changes: Any) -> StoredResponse:
    head = Head(ID, 1, "m", owner="anonymous", background=True, metadata={"a": "ä"})
    parts = {"prior": [message("before")], "input": [message("now", "msg_2")], **changes}
    return StoredResponse(head, "queue", True, 12.5, **parts)


@pytest.mark.parametrize("changes", [{}, {"response": {"id": ID, "output": []}, "last": 7}])
def test_a_record_comes_back_from_a_hash_and_from_an_object(changes: dict[str, Any]) -> None:
    whole = record(**changes)
    assert StoredResponse.of_fields(whole.fields()) == whole
    assert StoredResponse.of_object(as_object(3, {**whole.fields(), "version": b"3"})) == whole


def test_a_record_can_be_read_without_its_context() -> None:
    fields = record().fields()
    seen = StoredResponse.of_fields({"job": fields["job"], "head": fields["head"], "response": None, "last": None})
    assert (seen.head, seen.queue, seen.prior, seen.response) == (record().head, "queue", [], None)


def test_the_context_of_the_next_turn_is_all_items_but_calls_that_were_cut_off() -> None:
    call = {
        "id": "fc_1",
        "type": "function_call",
        "status": "completed",
        "call_id": "c",
        "name": "f",
        "arguments": "{}",
    }
    cut = {**call, "id": "fc_2", "status": "incomplete", "arguments": "{"}
    whole = record(response={"output": [call, cut]})
    assert [item["id"] for item in whole.context] == ["msg_1", "msg_2", "fc_1"]


def test_a_conversation_comes_back() -> None:
    one = Conversation("conv_" + "1" * 32, 5, {"a": "b"})
    assert Conversation.decode(one.encode()) == one


def test_only_ids_of_ours_have_a_place() -> None:
    assert places.response("anonymous", ID) == f"responses/anonymous/{ID}"
    for id in ("", "resp_", ID + "0", ID[:-1], "../" + ID, ID.upper(), "conv_" + "0" * 32, ID + "\n"):
        assert places.response("anonymous", id) is None
    assert places.conversation("o", "conv_" + "a" * 32) == "conversations/o/conv_" + "a" * 32
    assert places.conversation("o", ID) is None


def test_an_owner_is_a_digest_of_the_key_and_not_the_key() -> None:
    owner = owner_of("Bearer secret")
    assert len(owner) == 32
    assert "secret" not in owner
    assert owner == owner_of("bearer  secret ")
    assert owner != owner_of("Bearer other")
    assert owner_of("") == owner_of("Bearer ") == owner_of("Basic c2VjcmV0") == ANONYMOUS


def test_what_is_stored_lies_in_a_folder_of_its_owners_alone(tmp_path: Path) -> None:
    open_state(Settings(home=tmp_path))
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700


def test_a_failed_job_keeps_nothing_of_its_response() -> None:
    spec = JobSpec(
        "1", "q", "m", {"messages": []}, 0, 1, response={"instructions": "secret"}, brought=[message("secret")]
    )
    assert JobSpec.decode(spec.encode()) == spec
    assert "secret" not in str(spec.redacted())
