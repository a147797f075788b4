"""A chat with the OpenAI SDK, whole and streamed. Start the server with `make run` first."""

import os

from openai import OpenAI

client = OpenAI(base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:11434/v1"), api_key="puna")

answer = client.chat.completions.create(
    model="smollm2:135m",
    messages=[{"role": "user", "content": "Which city is the capital of France?"}],
    temperature=0,
    max_tokens=32,
)
print(answer.choices[0].message.content)

stream = client.chat.completions.create(
    model="smollm2:135m",
    messages=[{"role": "user", "content": "Name three fruits."}],
    stream=True,
    stream_options={"include_usage": True},
    temperature=0,
    max_tokens=48,
)
for chunk in stream:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)
    elif chunk.usage:
        print(f"\n({chunk.usage.completion_tokens} tokens)")
