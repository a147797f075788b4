"""What the commands about models make of the API's answers."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from infra.cli.folder import local, name_of
from infra.cli.models import list_rows, processor, ps_rows
from infra.cli.place import CommandError
from infra.cli.progress import follow
from infra.cli.show import details
from shared.catalog.names import ModelName

MODEL: dict[str, Any] = {"name": "m:latest", "digest": "0123456789abcdef", "size": 397_000_000}


def test_the_list() -> None:
    line = {**MODEL, "modified_at": "1970-01-01T00:01:40.123456789Z"}
    (row,) = list_rows([line], now=100 + 7200.5)
    assert row == ("m:latest", "0123456789ab", "397 MB", "2 hours ago")


def test_what_is_loaded() -> None:
    line = {**MODEL, "size_vram": 0, "context_length": 4096}
    rows = ps_rows(
        [
            {**line, "expires_at": "1970-01-01T00:06:40Z"},
            {**line, "expires_at": "9999-12-31T23:59:59Z"},
            {**line, "expires_at": "1970-01-01T01:00:00+01:00"},
        ],
        now=99.5,
    )
    assert rows[0] == ("m:latest", "0123456789ab", "397 MB", "100% CPU", "4096", "5 minutes from now")
    assert [row[-1] for row in rows[1:]] == ["Forever", "Stopping..."]


def test_where_it_lies() -> None:
    words = ["100% CPU", "100% GPU", "48%/52% CPU/GPU", "Unknown"]
    assert [processor(100, vram) for vram in (0, 100, 52, 101)] == words


def test_details() -> None:
    told = {
        "details": {"family": "llama", "parameter_size": "134.52M", "quantization_level": "Q4_1"},
        "model_info": {"general.architecture": "llama", "llama.context_length": 8192},
        "capabilities": ["completion", "tools"],
        "parameters": 'stop                           "<a>"\ntemperature                    0.5',
        "system": "Be kind.",
        "license": "one\ntwo\nthree",
    }
    assert details(told).splitlines() == [
        "  Model",
        "    architecture      llama",
        "    parameters        134.52M",
        "    context length    8192",
        "    quantization      Q4_1",
        "",
        "  Capabilities",
        "    completion",
        "    tools",
        "",
        "  Parameters",
        '    stop           "<a>"',
        "    temperature    0.5",
        "",
        "  System",
        "    Be kind.",
        "",
        "  License",
        "    one",
        "    two",
        "    ...",
    ]


def test_details_with_all_of_it() -> None:
    told = {
        "details": {},
        "model_info": {
            "general.architecture": "llama",
            "general.parameter_count": 12_000,
            "tokenizer.ggml.add_bos_token": False,
            "tokenizer.ggml.tokens": ["<a>", "<b>", "<c>", "<d>"],
            "llama.rope.freq_base": 100000.0,
        },
        "projector_info": {
            "general.architecture": "clip",
            "general.parameter_count": 166_969,
            "clip.vision.embedding_length": 12,
        },
        "tensors": [{"name": "output.weight", "type": "Q4_1", "shape": [64, 100]}],
        "system": "one\n\n  two\nthree",
    }
    assert details(told, verbose=True).splitlines() == [
        "  Model",
        "    architecture    llama",
        "    parameters      12K",
        "    quantization    unknown",
        "",
        "  Projector",
        "    architecture        clip",
        "    parameters          167K",
        "    embedding length    12",
        "",
        "  Metadata",
        "    general.architecture            llama",
        "    general.parameter_count         12000",
        "    llama.rope.freq_base            100000",
        "    tokenizer.ggml.add_bos_token    false",
        "    tokenizer.ggml.tokens           [<a> <b> ...+2 more]",
        "",
        "  Tensors",
        "    output.weight    Q4_1    [64 100]",
        "",
        "  System",
        "    one",
        "    two",
        "    ...",
    ]
    assert "output.weight" not in details(told)


LINES = [
    {"status": "pulling manifest"},
    {"status": "pulling 0123456789ab", "digest": "sha256:01", "total": 2_000_000, "completed": 0},
    {"status": "pulling 0123456789ab", "digest": "sha256:01", "total": 2_000_000, "completed": 1_000_000},
    {"status": "pulling 0123456789ab", "digest": "sha256:01", "total": 2_000_000, "completed": 2_000_000},
    {"status": "success"},
]


def test_progress_without_a_terminal() -> None:
    out = io.StringIO()
    follow(LINES, Console(file=out))
    assert out.getvalue().splitlines() == ["pulling manifest", "pulling 0123456789ab", "success"]


def test_progress_on_a_terminal() -> None:
    out = io.StringIO()
    follow(LINES, Console(file=out, force_terminal=True, width=120))
    text = out.getvalue()
    assert "pulling manifest" in text
    assert "100%" in text
    assert "2.0/2.0 MB" in text
    assert "B/s" in text
    assert "success" in text


def test_what_from_names(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.gguf").write_bytes(b"GGUF")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "README.md").write_bytes(b"")
    tensors = tmp_path / "tensors"
    (tensors / "1_Pooling").mkdir(parents=True)
    taken = ["1_Pooling/config.json", "config.json", "model-1.safetensors", "model-2.safetensors", "tokenizer.json"]
    for name in (*taken, "README.md", "other.gguf", "pytorch_model.bin"):
        (tensors / name).write_bytes(b"")
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "a.gguf").symlink_to(tmp_path / "model.gguf")
    assert local("./model.gguf", tmp_path) == {"model.gguf": tmp_path / "model.gguf"}
    assert local(str(tmp_path / "folder"), Path("/")) == {"a.gguf": tmp_path / "folder" / "a.gguf"}
    assert local("smollm2:135m", tmp_path) == {}
    assert sorted(local("./tensors", tmp_path)) == taken
    for source, words in (
        ("./other.gguf", "there is no such file"),
        ("other.gguf", "there is no such file"),
        ("./empty", "holds no model"),
        ("./links", "leads out of it"),
    ):
        with pytest.raises(CommandError, match=words):
            local(source, tmp_path)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/models/SmolLM2-135M-Instruct-Q4_K_M.gguf", "smollm2-135m-instruct:q4_k_m"),
        ("/models/qwen2.5-0.5b-instruct.IQ3_XXS.gguf", "qwen2.5-0.5b-instruct:iq3_xxs"),
        ("/models/tiny.bf16.GGUF", "tiny:bf16"),
        ("/models/Llama-3.2-1B", "llama-3.2-1b:latest"),
        ("/models/my model (new).gguf", "my-model-new:latest"),
        ("/models/模型.gguf", "model:latest"),
    ],
)
def test_a_local_model_is_named_for_its_file(path: str, name: str) -> None:
    assert name_of(Path(path)) == name
    assert ModelName.parse(name).display == name
