"""A chat's whole answer: the `chat.completion` object (OpenAI API reference, "The chat completion object")."""

from typing import Any

from functions.inference.collect import Answer, Choice
from shared.job import JobSpec


def completion(spec: JobSpec, answer: Answer) -> dict[str, Any]:
    """The body of an answer that is not streamed."""
    return {
        "id": f"chatcmpl-{spec.id}",
        "object": "chat.completion",
        "created": int(spec.created),
        "model": spec.model,
        "system_fingerprint": answer.fingerprint,
        "choices": [
            {
                "index": index,
                "message": message(choice),
                "logprobs": logprobs(choice.logprobs),
                "finish_reason": choice.finish_reason,
            }
            for index, choice in sorted(answer.choices.items())
        ],
        "usage": answer.usage,
    }


def message(choice: Choice) -> dict[str, Any]:
    """The assistant's message. Content is null where there are calls and no words; reasoning has both of its names,
    Ollama's and vLLM's, and is absent where there is none."""
    said: dict[str, Any] = {"role": "assistant", "content": choice.text, "refusal": None}
    if choice.thoughts:
        said["reasoning"] = said["reasoning_content"] = choice.thought
    if choice.calls:
        said["content"] = choice.text or None
        said["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for _, call in sorted(choice.calls.items())
        ]
    return said


def logprobs(entries: list[dict[str, Any]] | None) -> dict[str, Any] | None:
    """OpenAI's logprobs object of a choice or of a chunk's choice."""
    return None if entries is None else {"content": entries, "refusal": None}
