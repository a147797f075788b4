import re
import time

import pytest

from shared.ids import new_id, request_id


def test_ids_are_32_hex_digits_and_differ() -> None:
    ids = {new_id() for _ in range(2000)}
    assert len(ids) == 2000
    assert all(re.fullmatch(r"[0-9a-f]{32}", each) for each in ids)


def test_ids_begin_with_their_time() -> None:
    before = int(time.time() * 1000)
    made = int(new_id()[:12], 16)
    assert before <= made <= int(time.time() * 1000)


@pytest.mark.parametrize("inbound", ["a", "A.b_c:d-e", "0" * 128, "req_1"])
def test_a_safe_request_id_is_kept(inbound: str) -> None:
    assert request_id(inbound) == inbound


@pytest.mark.parametrize("inbound", [None, "", "0" * 129, "a b", "a\n", "a\r\nx-evil: 1", "ä", "a/b", "{}", "\x00"])
def test_an_unsafe_request_id_is_replaced(inbound: str | None) -> None:
    assert re.fullmatch(r"req_[0-9a-f]{32}", request_id(inbound))
