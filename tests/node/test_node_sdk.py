"""The official Node SDK against the real models: its typed objects, its stream helper, its error classes."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import minilm
from tests.harness import ROOT, Stack, running_stack
from tests.sdk_types import problems

NODE, NPM = shutil.which("node"), shutil.which("npm")

pytestmark = [
    pytest.mark.engine,
    pytest.mark.redis,
    pytest.mark.slow,
    pytest.mark.skipif(NODE is None or NPM is None, reason="no node or no npm on the PATH: the Node SDK is not tested"),
]

HERE = Path(__file__).parent
CHAT, EMBED = "smollm2:135m", "all-minilm"
ASKED_TWICE = ["text", "tools", "schema", "three", "logprobs"]


@pytest.fixture(scope="module")
def program() -> Path:
    """The program beside its packages, which are installed once for a lock file and kept between runs."""
    folder = ROOT / ".cache" / "node"
    installed = folder / "node_modules" / ".package-lock.json"
    lock = (HERE / "package-lock.json").read_bytes()
    kept = folder / "package-lock.json"
    folder.mkdir(parents=True, exist_ok=True)
    if not installed.exists() or not kept.exists() or kept.read_bytes() != lock:
        kept.write_bytes(lock)
        shutil.copy(HERE / "package.json", folder)
        subprocess.run([str(NPM), "ci", "--no-audit", "--no-fund"], cwd=folder, check=True, timeout=100)
    return Path(shutil.copy(HERE / "surface.mjs", folder))


@pytest.fixture(scope="module")
def two_workers(catalog_of_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A model that chats and one that embeds."""
    minilm.catalog()
    environ = {"PUNA_CATALOG": str(catalog_of_models), "PUNA_ENGINE": "xllamacpp", "PUNA_CONTEXT": "1024"}
    with running_stack(tmp_path_factory.mktemp("node"), **environ) as stack:
        stack.start_worker(PUNA_MODEL=CHAT)
        stack.start_worker(PUNA_MODEL=EMBED)
        stack.start_api()
        yield stack


@pytest.fixture(scope="module")
def seen(program: Path, two_workers: Stack) -> Any:
    """What the program printed."""
    environ = {"OPENAI_BASE_URL": f"{two_workers.url}/v1", "CHAT_MODEL": CHAT, "EMBED_MODEL": EMBED}
    ran = subprocess.run(
        [str(NODE), program], env={**os.environ, **environ}, capture_output=True, text=True, timeout=100
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def message(completion: Any, index: int = 0) -> Any:
    return completion["choices"][index]["message"]


@pytest.mark.parametrize("name", ASKED_TWICE)
def test_what_the_helper_gathers_is_the_whole_answer(seen: Any, name: str) -> None:
    whole, gathered = seen[name]["whole"], seen[name]["gathered"]
    assert problems(whole) == []
    assert seen[name]["chunks"] > len(whole["choices"])
    for one, other in zip(whole["choices"], gathered["choices"], strict=True):
        assert one["index"] == other["index"]
        assert one["finish_reason"] == other["finish_reason"]
        assert one["message"]["content"] == other["message"]["content"]
        assert tokens_of(one) == tokens_of(other)
        assert calls_of(one) == calls_of(other)


def tokens_of(choice: Any) -> list[tuple[Any, ...]]:
    entries = (choice["logprobs"] or {}).get("content") or []
    return [(entry["token"], entry["bytes"], len(entry["top_logprobs"])) for entry in entries]


def calls_of(choice: Any) -> list[Any]:
    return [(call["type"], call["function"]["name"], call["function"]["arguments"]) for call in calls(choice)]


def calls(choice: Any) -> list[Any]:
    return choice["message"].get("tool_calls") or []


def test_text(seen: Any) -> None:
    assert "Paris" in message(seen["text"]["whole"])["content"]


def test_a_forced_call(seen: Any) -> None:
    (call,) = calls(seen["tools"]["whole"]["choices"][0])
    assert call["function"]["name"] == "get_weather"
    assert set(json.loads(call["function"]["arguments"])) == {"city"}
    assert message(seen["tools"]["whole"])["content"] is None


def test_an_answer_in_a_schema(seen: Any) -> None:
    assert json.loads(message(seen["schema"]["whole"])["content"]) == message(seen["parsed"])["parsed"]
    assert message(seen["parsed"])["parsed"]["name"] == "Ada"


def test_choices_and_log_probabilities(seen: Any) -> None:
    assert [choice["index"] for choice in seen["three"]["whole"]["choices"]] == [0, 1, 2]
    entries = seen["logprobs"]["whole"]["choices"][0]["logprobs"]["content"]
    assert len(entries) == 4
    assert all(len(entry["top_logprobs"]) == 2 for entry in entries)


def test_completions(seen: Any) -> None:
    whole = seen["completions"]["whole"]
    assert problems(whole) == []
    assert whole["choices"][0]["text"].startswith(" Paris")
    assert whole["choices"][0]["text"] == seen["completions"]["text"]


def test_vectors(seen: Any) -> None:
    by_default, floats = seen["embeddings"]["byDefault"], seen["embeddings"]["floats"]
    assert problems(floats) == []
    for one, other in zip(by_default["data"], floats["data"], strict=True):
        assert len(other["embedding"]) == 384
        assert one["embedding"] == pytest.approx(other["embedding"], abs=1e-6)


def test_models(seen: Any) -> None:
    assert {CHAT, f"{EMBED}:latest"} <= set(seen["models"]["ids"])
    assert seen["models"]["one"]["id"] == CHAT


def test_errors_are_the_sdk_s_own(seen: Any) -> None:
    assert seen["errors"]["field"] == {
        "kind": "BadRequestError",
        "status": 400,
        "code": None,
        "param": "temperature",
    }
    assert seen["errors"]["model"] == {
        "kind": "NotFoundError",
        "status": 404,
        "code": "model_not_found",
        "param": "model",
    }
