import pytest

from shared.catalog.names import ModelName
from shared.errors import InvalidRequest

HOST = "registry.ollama.ai"


@pytest.mark.parametrize(
    ("text", "parts", "display"),
    [
        ("llama3.2", (HOST, "library", "llama3.2", "latest"), "llama3.2:latest"),
        ("smollm2:135m", (HOST, "library", "smollm2", "135m"), "smollm2:135m"),
        ("SmolLM2:135M", (HOST, "library", "SmolLM2", "135M"), "SmolLM2:135M"),
        ("mattw/pygmalion", (HOST, "mattw", "pygmalion", "latest"), "mattw/pygmalion:latest"),
        ("library/qwen3:8b", (HOST, "library", "qwen3", "8b"), "qwen3:8b"),
        (f"{HOST}/library/qwen3", (HOST, "library", "qwen3", "latest"), "qwen3:latest"),
        ("hf.co/user/repo-GGUF:Q4_K_M", ("hf.co", "user", "repo-GGUF", "Q4_K_M"), "hf.co/user/repo-GGUF:Q4_K_M"),
        ("localhost:5000/a/b", ("localhost:5000", "a", "b", "latest"), "localhost:5000/a/b:latest"),
        ("http://localhost:5000/a/b:c", ("localhost:5000", "a", "b", "c"), "localhost:5000/a/b:c"),
        ("https://example.com/ns/m", ("example.com", "ns", "m", "latest"), "example.com/ns/m:latest"),
        ("gpt-3.5-turbo", (HOST, "library", "gpt-3.5-turbo", "latest"), "gpt-3.5-turbo:latest"),
        ("_a/_b:_c", (HOST, "_a", "_b", "_c"), "_a/_b:_c"),
        ("m" * 80 + ":" + "t" * 80, (HOST, "library", "m" * 80, "t" * 80), "m" * 80 + ":" + "t" * 80),
        ("h" * 350 + "/n/m", ("h" * 350, "n", "m", "latest"), "h" * 350 + "/n/m:latest"),
    ],
)
def test_names_are_completed_and_shown_short(text: str, parts: tuple[str, str, str, str], display: str) -> None:
    name = ModelName.parse(text)
    assert (name.host, name.namespace, name.model, name.tag) == parts
    assert name.display == str(name) == display
    assert ModelName.parse(display) == name
    assert ModelName.from_manifest_key(name.manifest_key) == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        " llama",
        "llama\n",
        "llama:",
        ":tag",
        "/llama",
        "llama/",
        "a//b",
        "a/b/c/d",
        "https://llama",
        "https://ns/llama",
        "://host/ns/llama",
        ".llama",
        "-llama",
        "n.s/llama",
        "n:s/llama",
        "llama:a:b",
        "llama@sha256:" + "0" * 64,
        "../etc/passwd",
        "a/../b",
        "host/ns/..",
        "mödel",
        "a b",
        "a\\b",
        "a\0b",
        "m" * 81,
        "m:" + "t" * 81,
        "n" * 81 + "/m",
        "h" * 351 + "/n/m",
    ],
)
def test_malformed_names_are_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^invalid model name$") as caught:
        ModelName.parse(text)
    assert caught.value.param == "model"


def test_a_long_malformed_name_is_refused_at_once() -> None:
    with pytest.raises(InvalidRequest):
        ModelName.parse("a" * 1_000_000 + "/" * 1000)


def test_manifest_key() -> None:
    assert ModelName.parse("smollm2:135m").manifest_key == f"manifests/{HOST}/library/smollm2/135m"


@pytest.mark.parametrize(
    "key", ["manifests/h/n/m", "blobs/h/n/m/t", "manifests/h/n/m/t/x", "manifests/h/n.s/m/t", "manifests/h/n//t"]
)
def test_keys_of_no_manifest(key: str) -> None:
    assert ModelName.from_manifest_key(key) is None


def test_names_fold_together_by_case_only() -> None:
    assert ModelName.parse("SmolLM2").folded == ModelName.parse("smollm2:LATEST").folded
    assert ModelName.parse("smollm2").folded != ModelName.parse("smollm2:135m").folded
