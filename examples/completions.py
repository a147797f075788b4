"""Completions with the OpenAI SDK: text that goes on, several at once, and how sure the model was. `make run` first."""

import os

from openai import OpenAI

client = OpenAI(base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:11434/v1"), api_key="puna")

answer = client.completions.create(
    model="smollm2:135m", prompt="The capital of France is", temperature=0, max_tokens=2, logprobs=2
)
choice = answer.choices[0]
print(repr(choice.text))
if choice.logprobs:
    for token, likeliest in zip(choice.logprobs.tokens or [], choice.logprobs.top_logprobs or [], strict=True):
        print(f"  {token!r} of {likeliest}")

best = client.completions.create(
    model="smollm2:135m", prompt="Once upon a time", n=1, best_of=4, seed=7, temperature=1, max_tokens=16
)
print("The likeliest of four:", best.choices[0].text)

prompts = ["One, two, three,", "Monday, Tuesday,"]
texts = dict(enumerate(prompts))
for chunk in client.completions.create(model="smollm2:135m", prompt=prompts, temperature=0, max_tokens=8, stream=True):
    for piece in chunk.choices:
        texts[piece.index] += piece.text
for text in texts.values():
    print(text)
