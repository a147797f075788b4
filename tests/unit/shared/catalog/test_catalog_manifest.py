import hashlib
from typing import Any

import orjson
import pytest

from shared.catalog import manifest as m
from shared.catalog.encode import encode_json
from shared.catalog.manifest import InvalidManifest, Layer, Manifest, build_manifest

HEX = "ab" * 32


def ends(data: bytes) -> tuple[str, str]:
    digest = hashlib.sha256(data).hexdigest()
    return digest[:8], digest[-4:]


def test_params_have_the_digest_that_ollama_gives_them() -> None:
    params: dict[str, Any] = {"temperature": 1, "top_k": 10, "stop": ["USER:", "ASSISTANT:"]}
    assert ends(m.encode_params(params)) == ("1d0ad712", "1e37")
    assert m.encode_params(params | {"temperature": 1.0}) == m.encode_params(params)


def test_config_has_the_digest_that_ollama_gives_it() -> None:
    config = {"model_family": "test", "model_families": ["test"], "model_type": "0", "file_type": "unknown"}
    assert ends(m.encode_config(config)) == ("99759ad5", "bc8c")


def test_text_layers_are_their_bytes() -> None:
    assert Layer.of(m.SYSTEM, b"Say hi!").digest.startswith("sha256:f29e82a8")
    template = Layer.of(m.TEMPLATE, b"{{ .System }} {{ .Prompt }}")
    assert (template.digest[7:15], template.digest[-4:]) == ("fe7ac77b", "91ed")


def test_messages_have_the_digest_that_ollama_gives_them() -> None:
    said = [("assistant", "What is my purpose?"), ("user", "You run tests."), ("assistant", "Oh, my god.")]
    assert ends(m.encode_messages(said)) == ("298baeaf", "ffc4")


def test_messages_are_written_role_first() -> None:
    written = m.encode_messages([("user", "a < b"), ("assistant", "ja")])
    assert written == b'[{"role":"user","content":"a \\u003c b"},{"role":"assistant","content":"ja"}]\n'


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "-0"),
        (0.7, "0.7"),
        (100.0, "100"),
        (1e16, "10000000000000000"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (0.000001, "0.000001"),
        (1e-7, "1e-7"),
        (-1.5e-10, "-1.5e-10"),
        (True, "true"),
        (2**53, "9007199254740992"),
        ('é\u2028\x1b\n"', '"é\\u2028\\u001b\\n\\""'),
        ("<|endoftext|> & co", '"\\u003c|endoftext|\\u003e \\u0026 co"'),
    ],
)
def test_values_are_written_as_go_writes_them(value: Any, text: str) -> None:
    assert encode_json(value).decode() == text + "\n"


def test_numbers_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="nan"):
        m.encode_params({"temperature": float("nan")})


def test_config_keys_keep_their_order_and_empty_ones_are_left_out() -> None:
    config = m.encode_config({"renderer": "", "capabilities": ["vision"], "file_type": "F16", "requires": "0.14.0"})
    assert list(orjson.loads(config)) == [
        "model_format",
        "model_family",
        "model_families",
        "model_type",
        "file_type",
        "requires",
        "capabilities",
        "architecture",
        "os",
    ]
    with pytest.raises(ValueError, match="unknown config key 'colour'"):
        m.encode_config({"colour": "red"})


def test_a_manifest_round_trips() -> None:
    config = Layer.of(m.CONFIG, b"{}\n")
    layers = [Layer(m.MODEL, f"sha256:{HEX}", 10, origin="/a", name="w"), Layer.of(m.LICENSE, b"Apache")]
    built = build_manifest(config, layers)
    read = Manifest.from_bytes(built.raw)
    assert read == built
    assert built.raw.endswith(b"]}\n")
    assert read.digest == hashlib.sha256(built.raw).hexdigest()
    assert read.size == 3 + 10 + 6
    assert read.model == layers[0]
    assert read.blobs == (config, *layers)
    assert read.layer(m.PARAMS) is None


def test_the_stored_text_is_kept() -> None:
    raw = orjson.dumps(orjson.loads(build_manifest(Layer.of(m.CONFIG, b""), []).raw), option=orjson.OPT_INDENT_2)
    manifest = Manifest.from_bytes(raw)
    assert manifest.raw == raw
    with pytest.raises(InvalidManifest, match="no model layer"):
        _ = manifest.model


LAYER = {"mediaType": m.CONFIG, "digest": f"sha256:{HEX}", "size": 1}


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {"schemaVersion": 1, "config": LAYER, "layers": []},
        {"schemaVersion": 2, "layers": []},
        {"schemaVersion": 2, "config": LAYER, "layers": "x"},
        {"schemaVersion": 2, "config": LAYER, "layers": [LAYER | {"digest": "sha256:../../etc/passwd"}]},
        {"schemaVersion": 2, "config": LAYER | {"size": -1}, "layers": []},
        {"schemaVersion": 2, "config": LAYER | {"size": "1"}, "layers": []},
    ],
)
def test_malformed_manifests_are_refused(value: Any) -> None:
    with pytest.raises(InvalidManifest):
        Manifest.from_bytes(orjson.dumps(value))


def test_what_is_not_json_is_refused() -> None:
    with pytest.raises(InvalidManifest, match="not JSON"):
        Manifest.from_bytes(b"<html>")


def test_blob_keys() -> None:
    assert m.blob_key(f"sha256:{HEX}") == m.blob_key(f"sha256-{HEX.upper()}") == f"blobs/sha256-{HEX}"
    for bad in ("", HEX, f"sha256:{HEX}0", f"sha256:{HEX[1:]}", f"md5:{HEX}", f"sha256:{HEX}\n", "sha256:../x"):
        with pytest.raises(ValueError, match="invalid digest format"):
            m.blob_key(bad)
