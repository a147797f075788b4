"""Converted models in the real engine: small ones of every architecture against numpy, and SmolLM2 back from
safetensors."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import ollama
import pytest
from openai import OpenAI

from shared import keys
from shared.catalog.directory import DirectoryStore
from shared.catalog.manifest import Manifest, blob_key
from shared.catalog.names import ModelName
from tests.decoder_reference import log_probabilities
from tests.harness import Stack, running_stack, wait_for
from tests.model_folders import (
    BLOCK_NAMES,
    HEAD,
    TOP_NAMES,
    Array,
    byte_level,
    decoder_config,
    decoder_folder,
    decoder_tensors,
    safetensors,
)

pytestmark = [pytest.mark.engine, pytest.mark.redis, pytest.mark.slow]

IDS = [17, 3, 250, 99, 4, 4, 180, 77, 31, 8, 123, 200]
VOCAB = 260


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    environ = {"PUNA_ENGINE": "xllamacpp", "PUNA_CONTEXT": "256", "PUNA_SLOTS": "1", "PUNA_THREADS": "1"}
    with running_stack(tmp_path_factory.mktemp("converted"), **environ) as stack:
        stack.start_api()
        stack.start_worker(ready=False, PUNA_MODEL="*")
        wait_for(lambda: stack.redis.exists(keys.SEEKERS), "the worker serves any model")
        yield stack


@pytest.fixture
def client(stack: Stack) -> Iterator[ollama.Client]:
    client = ollama.Client(host=stack.url)
    yield client
    client.close()


def create(client: ollama.Client, name: str, files: Mapping[str, bytes], path: Path, **more: Any) -> None:
    digests = {}
    for each, data in files.items():
        (path / "file").write_bytes(data)
        digests[each] = client.create_blob(path / "file")
    assert client.create(name, files=digests, **more).status == "success"


def alphabet() -> list[str]:
    """GPT-2's letters for bytes."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in plain]
    return [chr(byte) for byte in plain] + [chr(256 + n) for n in range(len(others))]


def tensors(size: int = VOCAB, **more: bool) -> dict[str, Array]:
    """Random ones, such that the answers differ and no number grows."""
    found = decoder_tensors(**more)
    for name, each in found.items():
        if each.ndim == 1 and name.endswith("norm.weight"):
            each[:] = 1 + each / 10
        else:
            each /= 5
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        if name in found:
            found[name] = np.random.default_rng(len(name)).normal(size=(size, 64), scale=0.25).astype("f4")
    return found


LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}


@pytest.mark.parametrize(
    ("word", "config", "made"),
    [
        ("LlamaForCausalLM", {}, {}),
        ("LlamaForCausalLM", {"rope_scaling": {**LLAMA3, "original_max_position_embeddings": 16}}, {"bias": True}),
        ("LlamaForCausalLM", {"rope_scaling": {"rope_type": "linear", "factor": 4.0}}, {}),
        ("MistralForCausalLM", {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 2 * HEAD}, {}),
        ("Qwen2ForCausalLM", {"tie_word_embeddings": True}, {"bias": True, "output": False}),
        ("Qwen3ForCausalLM", {"head_dim": HEAD, "rope_theta": 1e6}, {"norms": True}),
    ],
)
def test_the_engine_computes_what_transformers_does(
    client: ollama.Client, stack: Stack, tmp_path: Path, word: str, config: dict[str, Any], made: dict[str, bool]
) -> None:
    """Log probabilities of a prompt's tokens, each after those before it."""
    told = decoder_config(word, vocab_size=VOCAB, **config)
    weights = tensors(**made)
    tokenizer = byte_level(added_tokens=[{"id": 256, "content": "<|end|>", "special": True}])
    tokenizer["model"] |= {"vocab": {letter: n for n, letter in enumerate(alphabet())}, "merges": []}
    create(client, "small", decoder_folder(told, weights, tokenizer=tokenizer), tmp_path, quantize="f32")
    with OpenAI(base_url=f"{stack.url}/v1", api_key="any", max_retries=0) as sdk:
        answer = sdk.completions.create(model="small", prompt=IDS, max_tokens=1, echo=True, logprobs=1, temperature=0)
    client.generate("small", keep_alive=0)
    seen = answer.choices[0].logprobs
    assert seen is not None
    assert seen.token_logprobs is not None
    wanted = log_probabilities(told, weights, IDS)
    expected = [wanted[place, token] for place, token in enumerate(IDS[1:])]
    assert seen.token_logprobs[1 : len(IDS)] == pytest.approx(expected, abs=0.03)


PIECES = Path(__file__).parent / "pieces.model"
"""500 tokens of SentencePiece's own trainer: BPE with bytes for what it does not know, and digits one by one."""


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Hello world", "▁|H|el|lo|▁w|or|l|d"),
        ("  two  spaces\n\n\tand a tab \n", "▁▁|▁t|w|o|▁▁|s|p|a|c|es|\n|\n|\t|an|d|▁a|▁t|a|b|▁|\n"),
        ("42 of 512: Größe, naïve 東京 😀", "▁|4|2|▁of|▁|5|1|2|:|▁|G|r|ö|ß|e|,|▁n|a|ï|ve|▁|東|京|▁|😀"),
    ],
)
def test_text_becomes_the_tokens_that_sentencepiece_gives(
    client: ollama.Client, stack: Stack, tmp_path: Path, text: str, wanted: str
) -> None:
    """`wanted` is what `SentencePieceProcessor.encode` says; it marks a space, and puts one before a text."""
    weights = tensors(size=500)
    files = decoder_folder(decoder_config(vocab_size=500), weights, tokenizer=None, tokenizer_config={})
    create(client, "pieces", {**files, "tokenizer.model": PIECES.read_bytes()}, tmp_path)
    with OpenAI(base_url=f"{stack.url}/v1", api_key="any", max_retries=0) as sdk:
        answer = sdk.completions.create(model="pieces", prompt=text, max_tokens=1, echo=True, logprobs=0)
    client.generate("pieces", keep_alive=0)
    seen = answer.choices[0].logprobs
    assert seen is not None
    assert seen.tokens is not None
    pieces = wanted.replace("▁", " ").split("|")
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == 1 + len(pieces), "with the token that begins a text"
    assert seen.tokens[1 : len(pieces)] == pieces[1:], "the first one's space is ours"


ASKED = [{"role": "user", "content": "What is the capital of France?"}]
SAME = {"temperature": 0, "seed": 1, "num_predict": 24}


def _transformers(name: str) -> str:
    """The name of llama.cpp's tensor in transformers."""
    block, _, part = name.removeprefix("blk.").partition(".")
    if not name.startswith("blk."):
        return next(theirs for theirs, ours in TOP_NAMES.items() if ours == name)
    return f"model.layers.{block}.{next(theirs for theirs, ours in BLOCK_NAMES.items() if ours == part)}"


def folder_of(weights: Path) -> dict[str, bytes]:
    """A GGUF Llama as its authors' folder would be: in transformers' order, F16, with `tokenizer.json`."""
    reader = gguf.GGUFReader(weights)
    facts: dict[str, Any] = {
        name: field.contents() for name, field in reader.fields.items() if not name.startswith("GGUF.")
    }
    heads = {"attn_q": facts["llama.attention.head_count"], "attn_k": facts["llama.attention.head_count_kv"]}
    found: dict[str, Array] = {}
    for each in reader.tensors:
        values = gguf.dequantize(each.data, each.tensor_type)
        part = each.name.split(".")[-2]
        if part in heads:
            turned = values.reshape(heads[part], values.shape[0] // heads[part] // 2, 2, values.shape[1])
            values = turned.swapaxes(1, 2).reshape(values.shape)
        found[_transformers(each.name)] = values.astype("f2")
    tokens, types = facts["tokenizer.ggml.tokens"], facts["tokenizer.ggml.token_type"]
    special = [{"id": n, "content": tokens[n], "special": True} for n, kind in enumerate(types) if kind == 3]
    steps = [{"type": "Digits", "individual_digits": True}, {"type": "ByteLevel", "add_prefix_space": False}]
    vocab = {token: n for n, token in enumerate(tokens)}
    told = {
        "config.json": {
            "architectures": ["LlamaForCausalLM"],
            "hidden_act": "silu",
            "hidden_size": facts["llama.embedding_length"],
            "intermediate_size": facts["llama.feed_forward_length"],
            "num_hidden_layers": facts["llama.block_count"],
            "num_attention_heads": facts["llama.attention.head_count"],
            "num_key_value_heads": facts["llama.attention.head_count_kv"],
            "max_position_embeddings": facts["llama.context_length"],
            "rms_norm_eps": facts["llama.attention.layer_norm_rms_epsilon"],
            "rope_theta": facts["llama.rope.freq_base"],
            "vocab_size": len(tokens),
            "tie_word_embeddings": True,
        },
        "tokenizer.json": {
            "model": {"type": "BPE", "vocab": vocab, "merges": facts["tokenizer.ggml.merges"]},
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": steps},
            "added_tokens": special,
        },
        "tokenizer_config.json": {
            "bos_token": "<|im_start|>",
            "eos_token": "<|im_end|>",
            "unk_token": "<|endoftext|>",
            "pad_token": "<|im_end|>",
            "add_bos_token": False,
            "chat_template": facts["tokenizer.chat_template"],
        },
    }
    return {**{name: json.dumps(each).encode() for name, each in told.items()}, "model.safetensors": safetensors(found)}


def at_16_bits(weights: Path, target: Path) -> Path:
    """The same model with the same facts, its tensors as F16: what the conversion is to come back to."""
    reader, writer = gguf.GGUFReader(weights), gguf.GGUFWriter(target, "llama")
    for name, field in reader.fields.items():
        if not name.startswith("GGUF.") and name not in ("general.architecture", "general.file_type"):
            sub = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(name, field.contents(), field.types[0], sub)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    for each in reader.tensors:
        values = gguf.dequantize(each.data, each.tensor_type)
        writer.add_tensor(each.name, values if values.ndim == 1 else values.astype("f2"))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


def data_of(path: Path) -> dict[str, bytes]:
    return {each.name: each.data.tobytes() for each in gguf.GGUFReader(path).tensors}


def test_smollm2_comes_back_from_safetensors(
    client: ollama.Client, stack: Stack, default_weights: Path, tmp_path: Path
) -> None:
    """Tensors bit by bit, tokens, and the same words; quantized it is almost as sure of them."""
    original = at_16_bits(default_weights, tmp_path / "original.gguf")
    assert client.create("original", files={"m.gguf": client.create_blob(original)}).status == "success"
    create(client, "back", folder_of(default_weights), tmp_path)
    store = DirectoryStore(stack.catalog)
    found = store.get(ModelName.parse("back").manifest_key)
    assert found is not None
    made = store.path(blob_key(Manifest.from_bytes(found.data).model.digest))
    assert data_of(made) == data_of(original)
    facts, wanted = (gguf.GGUFReader(path).fields for path in (made, original))
    for name in (each for each in facts if each.startswith("tokenizer.")):
        assert facts[name].contents() == wanted[name].contents(), name

    assert client.create("small", from_="back", quantize="q8_0").status == "success"
    text, likely = said(client, "original")
    assert "Paris" in text
    assert said(client, "back") == (text, likely)
    _, near = said(client, "small")
    assert near.keys() & likely.keys()
    assert all(near[token] == pytest.approx(likely[token], abs=0.5) for token in near.keys() & likely.keys())


def said(client: ollama.Client, model: str) -> tuple[str, dict[str, float]]:
    """A model's answer, and the log probabilities of its first token and the runners-up."""
    answer = client.chat(model, ASKED, options=SAME, keep_alive=0, logprobs=True, top_logprobs=3)
    assert answer.logprobs is not None
    first = answer.logprobs[0].top_logprobs or ()
    return answer.message.content or "", {each.token: each.logprob for each in first}
