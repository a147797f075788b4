"""A stack as Ollama's clients meet it, with three kinds of model: one that chats, one that thinks, one that embeds."""

from collections.abc import AsyncIterator, Iterator

import httpx
import ollama
import pytest

from shared.catalog.create import create
from shared.catalog.directory import DirectoryStore
from shared.catalog.manifest import blob_key, digest_of
from shared.schema.create import parse
from tests.gguf_files import gguf
from tests.harness import Stack, running_stack
from tests.registry import State, registry

CHAT = gguf(
    {
        "general.architecture": "llama",
        "general.file_type": 15,
        "llama.context_length": 8192,
        "tokenizer.ggml.tokens": ["t"] * 100,
        "tokenizer.chat_template": "{% if tools %}{{ tools }}{% endif %}",
    },
    [("token_embd.weight", (64, 100), 12)],
)
THINK = gguf({"general.architecture": "llama", "tokenizer.chat_template": "{{ messages }}<think>"})
EMBED = gguf(
    {
        "general.architecture": "bert",
        "bert.pooling_type": 1,
        "bert.context_length": 64,
        "bert.embedding_length": 8,
    }
)


def add(stack: Stack, name: str, weights: bytes) -> None:
    """A model of weights, as `create` makes it."""
    store = DirectoryStore(stack.catalog)
    digest = digest_of(weights)
    store.put(blob_key(digest), weights)
    list(create(store, parse({"model": name, "files": {"model.gguf": digest}})))


def serve_three(stack: Stack) -> None:
    """Start an API, and a worker for each kind of model."""
    for name, weights in (("chatter", CHAT), ("thinker", THINK), ("embedder", EMBED)):
        add(stack, name, weights)
    stack.start_worker(PUNA_MODEL="chatter")
    stack.start_worker(PUNA_MODEL="thinker", PUNA_ENGINE="fake --thoughts 2")
    stack.start_worker(PUNA_MODEL="embedder")
    stack.start_api()


@pytest.fixture
def state() -> State:
    """What a registry of ours holds."""
    return State()


@pytest.fixture
def host(state: State) -> Iterator[str]:
    with registry(state) as host:
        yield host


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("ollama")) as stack:
        serve_three(stack)
        yield stack


@pytest.fixture
def client(stack: Stack) -> Iterator[ollama.Client]:
    client = ollama.Client(host=stack.url)
    yield client
    client.close()


@pytest.fixture
async def async_client(stack: Stack) -> AsyncIterator[ollama.AsyncClient]:
    client = ollama.AsyncClient(host=stack.url)
    yield client
    await client.close()


@pytest.fixture
def http(stack: Stack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack.url, timeout=20) as client:
        yield client
