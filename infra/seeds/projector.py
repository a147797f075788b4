"""A projector that lets a small language model name colours: a closed form, made in seconds, without training.

To llama.cpp it is LLaVA's: a CLIP encoder and a two-layer perceptron (`clip.projector_type` "mlp"). A picture becomes
3 × 3 patches, so 9 tokens. The encoder gives a patch's mean R, G and B and its place; its one block adds nothing. The
perceptron turns eight places into the model's own token embeddings of `CAPTION`'s words, and the one in the middle,
by random features and least squares, into the embedding of the colour's name. The model reads: "The picture is red in
color."

Source: llama.cpp `tools/mtmd/clip.cpp`, `models/llava.cpp`; Rahimi and Recht, "Random Features for Large-Scale Kernel
Machines" (2007).
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

CAPTION: Final = ("Ċ", "The", "Ġpicture", "Ġis", "", "Ġin", "Ġcolor", ".", "Ċ")
"""Tokens of the nine patches, row by row; the empty one is the colour. Chosen by asking the model eight questions with
the text in place of the picture: 47 of 48 answers named the colour; without a caption 25 did."""

SHADES: Final = {
    "red": ((255, 0, 0), (200, 20, 30), (139, 0, 0)),
    "green": ((0, 128, 0), (0, 255, 0), (34, 139, 34), (0, 80, 0), (144, 238, 144)),
    "blue": ((0, 0, 255), (0, 0, 139), (65, 105, 225), (70, 130, 180), (135, 206, 235)),
    "yellow": ((255, 255, 0), (255, 235, 59), (255, 255, 150)),
    "black": ((0, 0, 0), (25, 25, 25)),
    "white": ((255, 255, 255), (240, 240, 240)),
    "orange": ((255, 165, 0), (255, 120, 0)),
    "purple": ((128, 0, 128), (75, 0, 130), (160, 32, 240)),
    "pink": ((255, 192, 203), (255, 105, 180), (255, 20, 147)),
    "brown": ((139, 69, 19), (101, 67, 33), (160, 82, 45)),
    "gray": ((128, 128, 128), (80, 80, 80), (190, 190, 190)),
}
"""Colours that the model can name, and what they look like (R, G, B); any other is the nearest of these."""

PATCH: Final = 16
"""Pixels of a patch's side: the encoder's unit, and more than a plain colour needs."""

_PLACES = len(CAPTION)
_COLOUR = CAPTION.index("")
_FEATURES = 256
_GRID = 17
_GATE = 20.0
"""Added to a feature at the colour's place only: GELU is 0 at −20, so elsewhere the features are off."""

_RIDGE = 0.3
_ROUND = 1024
"""Least squares differ in their last bits from machine to machine: shares of a colour are rounded to 1/1024, so the
file is as good as always the same."""


def build(weights: Path, target: Path) -> None:
    """Write the projector (a CLIP GGUF file) for a language model's GGUF file.

    Raises ValueError when a word of `CAPTION` or a name of `SHADES` is no token of the model.
    """
    import numpy as np

    words, colours = _embeddings(weights)
    matrix, bias = _features()
    shares = _shares(matrix, bias)
    inputs = 3 + _PLACES
    first = np.zeros((_FEATURES + _PLACES, inputs))
    first[:_FEATURES, :3] = matrix
    first[:_FEATURES, 3 + _COLOUR] = _GATE
    first[_FEATURES:, 3:] = np.eye(_PLACES)
    one = float(_gelu(np.ones(1))[0])
    second = np.zeros((_FEATURES + _PLACES, words.shape[1]))
    for share, colour in zip(shares.T, colours, strict=True):  # in this order: a matrix product may choose its own
        second[:_FEATURES] += share[:-1, None] * colour
        second[_FEATURES + _COLOUR] += share[-1] * colour
    for place, word in enumerate(words):
        if place != _COLOUR:
            second[_FEATURES + place] = word / one
    tensors = {
        **_encoder(inputs),
        "mm.0.weight": first,
        "mm.0.bias": np.concatenate([bias - _GATE, np.zeros(_PLACES)]),
        "mm.2.weight": second.T,
        "mm.2.bias": np.zeros(words.shape[1]),
    }
    _write(target, tensors, inputs, words.shape[1])


def _embeddings(weights: Path) -> "tuple[Floats, Floats]":
    """Token embeddings of the caption (the colour's is 0) and of the colours' names: a row each."""
    import numpy as np
    from gguf import GGUFReader, dequantize

    reader = GGUFReader(weights)
    field = reader.get_field("tokenizer.ggml.tokens")
    ids = {token: i for i, token in enumerate(field.contents() if field else ())}
    table = next(tensor for tensor in reader.tensors if tensor.name == "token_embd.weight")

    def row(token: str) -> Any:
        if token not in ids:
            raise ValueError(f"{token!r} is no token of {weights.name}")
        return dequantize(table.data[ids[token] : ids[token] + 1], table.tensor_type)[0].astype(np.float64)

    colours = np.stack([row(f"Ġ{name}") for name in SHADES])
    return np.stack([row(token) if token else np.zeros(colours.shape[1]) for token in CAPTION]), colours


def _features() -> "tuple[Floats, Floats]":
    """Directions in colour space and offsets: what the features are the GELU of."""
    import numpy as np

    random = np.random.Generator(np.random.PCG64(20))
    drawn = random.random((_FEATURES, 4)) * 2 - 1
    return drawn[:, :3] * 2.5, drawn[:, 3] * 2


def _shares(matrix: "Floats", bias: "Floats") -> "Floats":
    """For each feature, and a constant at the end, its share of each colour: (features + 1, colours)."""
    import numpy as np

    line = np.linspace(-1, 1, _GRID)
    grid = np.stack(np.meshgrid(line, line, line, indexing="ij"), -1).reshape(-1, 3)
    shades = [(number, shade) for number, each in enumerate(SHADES.values()) for shade in each]
    centres = np.array([shade for _, shade in shades]) / 127.5 - 1
    points = np.concatenate([grid, np.repeat(centres, 20, axis=0)])  # a named shade counts as much as its surroundings
    nearest = ((points[:, None] - centres) ** 2).sum(-1).argmin(1)
    wanted = np.eye(len(SHADES))[np.array([number for number, _ in shades])[nearest]]
    seen = np.column_stack([_gelu(points @ matrix.T + bias), np.full(len(points), float(_gelu(np.ones(1))[0]))])
    found = np.linalg.solve(seen.T @ seen + _RIDGE * np.eye(seen.shape[1]), seen.T @ wanted)
    rounded: Floats = np.round(found * _ROUND) / _ROUND
    return rounded


def _gelu(x: "Floats") -> "Floats":
    """llama.cpp's: the approximation by tanh."""
    import numpy as np

    result: Floats = 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    return result


def _encoder(inputs: int) -> "dict[str, Floats]":
    """Tensors of the encoder: mean colour of a patch, a mark for its place, and a block that adds nothing."""
    import numpy as np

    patch = np.zeros((inputs, 3, PATCH, PATCH))
    for channel in range(3):
        patch[channel, channel] = 1 / PATCH**2
    place = np.zeros((_PLACES, inputs))
    place[:, 3:] = np.eye(_PLACES)
    tensors = {"v.patch_embd.weight": patch, "v.position_embd.weight": place}
    for name in ("attn_q", "attn_k", "attn_v", "attn_out", "ffn_down", "ffn_up"):
        tensors[f"v.blk.0.{name}.weight"] = np.zeros((inputs, inputs))
        tensors[f"v.blk.0.{name}.bias"] = np.zeros(inputs)
    for name in ("ln1", "ln2"):
        tensors[f"v.blk.0.{name}.weight"] = np.ones(inputs)
        tensors[f"v.blk.0.{name}.bias"] = np.zeros(inputs)
    return tensors


def _write(target: Path, tensors: "dict[str, Floats]", inputs: int, outputs: int) -> None:
    import numpy as np
    from gguf import GGUFWriter

    writer = GGUFWriter(target, "clip")
    writer.add_name("Puna colours")
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_bool("clip.has_text_encoder", False)
    writer.add_bool("clip.has_llava_projector", True)
    writer.add_string("clip.projector_type", "mlp")
    writer.add_bool("clip.use_gelu", True)
    numbers = {
        "image_size": 3 * PATCH,
        "patch_size": PATCH,
        "embedding_length": inputs,
        "feed_forward_length": inputs,
        "projection_dim": outputs,
        "block_count": 1,
        "attention.head_count": 1,
    }
    for name, value in numbers.items():
        writer.add_uint32(f"clip.vision.{name}", value)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-5)
    writer.add_array("clip.vision.image_mean", [0.5, 0.5, 0.5])
    writer.add_array("clip.vision.image_std", [0.5, 0.5, 0.5])
    for name, values in tensors.items():
        writer.add_tensor(name, np.ascontiguousarray(values, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
