"""How much memory a model is said to take."""

import pytest

from shared.settings import Settings
from worker.estimate import budget, kv_cache

LLAMA = {
    "general.architecture": "llama",
    "llama.block_count": 32,
    "llama.embedding_length": 4096,
    "llama.attention.head_count": 32,
    "llama.attention.head_count_kv": 8,
}


@pytest.mark.parametrize(
    ("changes", "bytes_per_token"),
    [
        ({}, 32 * 8 * (128 + 128) * 2),
        ({"llama.attention.key_length": 64, "llama.attention.value_length": 32}, 32 * 8 * (64 + 32) * 2),
        ({"llama.attention.head_count_kv": None}, 32 * 32 * (128 + 128) * 2),
        ({"llama.block_count": 3, "llama.attention.head_count_kv": [8, 0, 4]}, 12 * (128 + 128) * 2),
        ({"llama.attention.head_count_kv": []}, 32 * 32 * (128 + 128) * 2),
        ({"general.architecture": "mamba"}, 0),
    ],
)
def test_the_cache_is_what_the_heads_need(changes: dict[str, object], bytes_per_token: int) -> None:
    assert kv_cache(LLAMA | changes, 1000) == 1000 * bytes_per_token


def test_a_budget_is_what_is_set_and_a_share_of_the_machine_for_several() -> None:
    assert budget(Settings(models=("a",))) == 0
    assert budget(Settings.load({"PUNA_MEMORY": "1.5G"})) == 1.5 * 2**30
    assert budget(Settings(models=("a", "b"))) > 100 << 20
