"""Command lines and fingerprints."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from shared.settings import Settings
from worker.runtime import llama_host
from worker.runtime.llama_argv import Weights, command, fingerprint, threads

SETTINGS = Settings(slots=2, context=512, threads=3, gpu_layers=7)
WEIGHTS = Weights(Path("model.gguf"), "ab" * 32)


def test_the_host_understands_its_command_line() -> None:
    weights = replace(WEIGHTS, mmproj=Path("p.gguf"), template=Path("t.jinja"), lora=Path("l.gguf"))
    argv = command(SETTINGS, weights)
    assert argv[:3] == [sys.executable, "-m", "worker.runtime.llama_host"]
    options = vars(llama_host.parse(argv[3:]))
    assert options == {
        "model": Path("model.gguf"),
        "ctx_size": 1024,
        "parallel": 2,
        "threads": 3,
        "gpu_layers": 7,
        "mmproj": Path("p.gguf"),
        "lora": Path("l.gguf"),
        "chat_template_file": Path("t.jinja"),
        "embedding": False,
        "batch_size": None,
        "ubatch_size": None,
    }


def test_an_engine_that_embeds_holds_its_longest_input_in_one_step() -> None:
    argv = command(SETTINGS, replace(WEIGHTS, embedding=True))
    options = llama_host.parse(argv[3:])
    assert (options.embedding, options.batch_size, options.ubatch_size) == (True, 512, 512)
    assert argv[-5:] == command(replace(SETTINGS, engine="/opt/llama-server"), replace(WEIGHTS, embedding=True))[-5:]
    fake = replace(SETTINGS, engine="fake")
    assert command(fake, replace(WEIGHTS, embedding=True)) == command(fake, WEIGHTS)


def test_a_binary_runs_under_the_guard_on_loopback() -> None:
    argv = command(replace(SETTINGS, engine="/opt/llama-server"), WEIGHTS, ["--flash-attn", "on"])
    assert argv[1:5] == ["-m", "worker.runtime.guard", "--", "/opt/llama-server"]
    assert " ".join(argv[5:]).startswith("--host 127.0.0.1 --port 0 ")
    assert argv[-2:] == ["--flash-attn", "on"]
    assert "--mmproj" not in argv


def test_one_core_stays_free(monkeypatch: pytest.MonkeyPatch) -> None:
    auto = replace(SETTINGS, threads=0)
    for cores, expected in [(1, 1), (2, 1), (8, 7), (None, 1)]:
        monkeypatch.setattr("os.cpu_count", lambda cores=cores: cores)
        assert threads(auto) == expected


def test_the_fingerprint_names_weights_engine_and_options(tmp_path: Path) -> None:
    template = tmp_path / "t.jinja"
    template.write_text("{{ messages }}")
    variants = [
        fingerprint(SETTINGS, WEIGHTS),
        fingerprint(SETTINGS, replace(WEIGHTS, digest="cd" * 32)),
        fingerprint(SETTINGS, replace(WEIGHTS, template=template)),
        fingerprint(replace(SETTINGS, context=1024), WEIGHTS),
        fingerprint(replace(SETTINGS, engine="fake"), WEIGHTS),
        fingerprint(replace(SETTINGS, engine="/nowhere/llama-server"), WEIGHTS),
        fingerprint(SETTINGS, WEIGHTS, ["--flash-attn", "on"]),
    ]
    assert len(set(variants)) == len(variants)
    assert all(len(v) == 13 and v.startswith("fp_") and int(v[3:], 16) >= 0 for v in variants)
    assert fingerprint(SETTINGS, replace(WEIGHTS, digest="sha256:" + "ab" * 32)) == variants[0]
    assert fingerprint(SETTINGS, replace(WEIGHTS, model=Path("elsewhere.gguf"))) == variants[0]
