"""`POST /v1/chat/completions`: the answer's fields, whole and streamed."""

from typing import Any, Final

from tests.contract.compat.probe import CHAT_PATH, NO, THINKER, YES, Sent, Table, row
from tests.contract.compat.rows_chat import FORCED

LIKELY: Final[dict[str, Any]] = {"logprobs": True, "top_logprobs": 1}
THOUGHT: Final[dict[str, Any]] = {"model": THINKER, "reasoning_effort": "low", "max_tokens": 12}
PLAIN, CALLS, LOGPROBS, THOUGHTS = Sent(), Sent(FORCED), Sent(LIKELY), Sent(THOUGHT)

ENTRY: Final = "choices[].logprobs.content[]"
CALL: Final = "choices[].message.tool_calls[]"
DETAILS: Final = ("usage.prompt_tokens_details", "usage.completion_tokens_details")

WHOLE: Final = Table(
    "Answer",
    CHAT_PATH,
    (
        row("id", YES, "yes, out of 999", PLAIN),
        row("object", YES, YES, PLAIN),
        row("created", YES, YES, PLAIN),
        row("model", YES, "as it was asked for", PLAIN),
        row("system_fingerprint", "yes, deprecated", "always `fp_ollama`", PLAIN),
        row("service_tier", YES, NO, PLAIN),
        row("metadata", "of a stored answer", NO, Sent({"metadata": {"a": "b"}})),
        row("moderation", "where it was asked for", NO, PLAIN),
        row("choices[].index", YES, YES, PLAIN),
        row("choices[].finish_reason", YES, YES, PLAIN),
        row("choices[].message.role", YES, YES, PLAIN),
        row("choices[].message.content", "`null` with calls", '`""` with calls', PLAIN),
        row("choices[].message.refusal", YES, NO, PLAIN),
        row("choices[].message.annotations", "of a web search", NO, PLAIN),
        row("choices[].message.audio", "where it was asked for", NO, PLAIN),
        row("choices[].message.function_call", "yes, deprecated", NO, CALLS),
        row("choices[].message.tool_calls", YES, YES, CALLS),
        row(f"{CALL}.id", YES, YES, CALLS),
        row(f"{CALL}.type", YES, YES, CALLS),
        row(f"{CALL}.function.name", YES, YES, CALLS),
        row(f"{CALL}.function.arguments", YES, YES, CALLS),
        row(f"{CALL}.index", "in a stream only", YES, CALLS),
        row("choices[].message.reasoning", NO, YES, THOUGHTS),
        row("choices[].message.reasoning_content", NO, NO, THOUGHTS),
        row("choices[].logprobs", YES, "where they were asked for", LOGPROBS),
        row("choices[].logprobs.refusal", YES, NO, LOGPROBS),
        row("choices[].logprobs.content", YES, YES, LOGPROBS),
        row(f"{ENTRY}.token", YES, YES, LOGPROBS),
        row(f"{ENTRY}.logprob", YES, YES, LOGPROBS),
        row(f"{ENTRY}.bytes", YES, YES, LOGPROBS),
        row(f"{ENTRY}.top_logprobs", YES, "unless 0", LOGPROBS),
        row("usage.prompt_tokens", YES, YES, PLAIN),
        row("usage.completion_tokens", YES, YES, PLAIN),
        row("usage.total_tokens", YES, YES, PLAIN),
        row(f"{DETAILS[0]}.cached_tokens", YES, "in later versions", PLAIN),
        row(f"{DETAILS[0]}.audio_tokens", YES, NO, PLAIN),
        row(f"{DETAILS[0]}.cache_write_tokens", YES, NO, PLAIN),
        row(f"{DETAILS[0]}.image_tokens", YES, NO, PLAIN),
        row(f"{DETAILS[0]}.text_tokens", YES, NO, PLAIN),
        row(f"{DETAILS[1]}.reasoning_tokens", YES, NO, PLAIN),
        row(f"{DETAILS[1]}.audio_tokens", YES, NO, PLAIN),
        row(f"{DETAILS[1]}.text_tokens", YES, NO, PLAIN),
        row(f"{DETAILS[1]}.accepted_prediction_tokens", YES, NO, PLAIN),
        row(f"{DETAILS[1]}.rejected_prediction_tokens", YES, NO, PLAIN),
    ),
)


def streamed(sent: Sent) -> Sent:
    return Sent({**sent.fields, "stream": True, "stream_options": {"include_usage": True}})


FLOW, CALLING, LIKELIER, THINKING = map(streamed, (PLAIN, CALLS, LOGPROBS, THOUGHTS))
DELTA: Final = "choices[].delta.tool_calls[]"

CHUNKS: Final = Table(
    "Chunks of a stream",
    CHAT_PATH,
    (
        row("id", "one for all", "one for all", FLOW),
        row("object", YES, YES, FLOW),
        row("created", "one for all", "one for all", FLOW),
        row("model", YES, YES, FLOW),
        row("system_fingerprint", "yes, deprecated", "always `fp_ollama`", FLOW),
        row("service_tier", YES, NO, FLOW),
        row("obfuscation", YES, NO, FLOW),
        row("moderation", "where it was asked for", NO, FLOW),
        row("usage", "`null` but in the last", "in the last only", FLOW),
        row("choices[].index", YES, YES, FLOW),
        row("choices[].finish_reason", "`null` but in the last", "`null` but in the last", FLOW),
        row("choices[].logprobs", YES, "where they were asked for", LIKELIER),
        row("choices[].delta.role", "in the first", "in the first", FLOW),
        row("choices[].delta.content", YES, YES, FLOW),
        row("choices[].delta.refusal", YES, NO, FLOW),
        row("choices[].delta.audio", "where it was asked for", NO, FLOW),
        row("choices[].delta.function_call", "yes, deprecated", NO, CALLING),
        row("choices[].delta.tool_calls", "arguments in pieces", "whole calls", CALLING),
        row(f"{DELTA}.index", YES, YES, CALLING),
        row(f"{DELTA}.id", "in the first piece", YES, CALLING),
        row(f"{DELTA}.type", "in the first piece", YES, CALLING),
        row(f"{DELTA}.function.name", "in the first piece", YES, CALLING),
        row(f"{DELTA}.function.arguments", YES, "whole", CALLING),
        row("choices[].delta.reasoning", NO, YES, THINKING),
        row("choices[].delta.reasoning_content", NO, NO, THINKING),
    ),
)
