"""Special tokens of a model: which is which, and which are put around a text.

Source: gguf-py's `SpecialVocab`, and transformers' `tokenizer_config.json`, `special_tokens_map.json`,
`generation_config.json`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from worker.convert import encode
from worker.convert.folder import Folder

KINDS: Final = {"bos": "bos", "eos": "eos", "unk": "unknown", "sep": "seperator", "pad": "padding", "mask": "mask"}
"""transformers' names of special tokens and llama.cpp's, whose spelling is this."""


def special(folder: Folder, ids: Mapping[str, int], size: int) -> dict[str, int]:
    """Ids of special tokens by transformers' kinds, `cls` among them; those that no file tells are not there."""
    found: dict[str, int] = {}
    told = [folder.json("tokenizer_config.json"), folder.json("special_tokens_map.json")]
    numbers = [folder.json("config.json"), folder.json("generation_config.json")]
    for kind in (*KINDS, "cls"):
        words = [content(each.get(f"{kind}_token")) for each in told]
        known = [ids[word] for word in words if word in ids]
        listed = [_first(each.get(f"{kind}_token_id")) for each in numbers]
        known += [number for number in listed if number is not None and 0 <= number < size]
        if known:
            found[kind] = known[0]
    return found


def pairs(folder: Folder, found: Mapping[str, int], tokens: Sequence[str]) -> list[bytes]:
    """Of the header: the ids, and whether a text gets a token before and after it."""
    made = [
        encode.uint32(f"tokenizer.ggml.{ours}_token_id", found[kind]) for kind, ours in KINDS.items() if kind in found
    ]
    config, around = folder.json("tokenizer_config.json"), _around(folder.json("tokenizer.json"))
    for kind, place in (("bos", 0), ("eos", -1)):
        said = config.get(f"add_{kind}_token")
        if not isinstance(said, bool) and around is not None:
            said = kind in found and bool(around) and around[place] == tokens[found[kind]]
        if isinstance(said, bool):
            made.append(encode.boolean(f"tokenizer.ggml.add_{kind}_token", said))
    return made


def chat_template(folder: Folder) -> list[bytes]:
    """The pair of the model's chat template, if it has one: of several the one named `default`."""
    text: Any = folder.json("tokenizer_config.json").get("chat_template")
    text = folder.json("chat_template.json").get("chat_template") or text
    if "chat_template.jinja" in folder:
        text = folder.whole("chat_template.jinja").decode("utf-8", "replace")
    if isinstance(text, list):
        named = {each.get("name"): each.get("template") for each in text if isinstance(each, dict)}
        text = named.get("default")
    return [encode.string("tokenizer.chat_template", text)] if isinstance(text, str) and text else []


def content(told: Any) -> str:
    """A token's text, which may stand in an object."""
    if isinstance(told, dict):
        told = told.get("content")
    return told if isinstance(told, str) else ""


def _first(told: Any) -> int | None:
    if isinstance(told, list) and told:
        told = told[0]
    return told if type(told) is int else None


def _around(tokenizer: Mapping[str, Any]) -> list[str] | None:
    """What a template puts around a text: special tokens and, where the text stands, nothing. None without one."""
    told = tokenizer.get("post_processor") or {}
    listed = told.get("processors") or [] if told.get("type") == "Sequence" else [told]
    for each in listed:
        if each.get("type") == "TemplateProcessing":
            return [str((step.get("SpecialToken") or {}).get("id", "")) for step in each.get("single") or ()]
    return None
