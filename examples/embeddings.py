"""Find the sentence that is nearest in meaning, with the OpenAI SDK. Start the server with `make run` first."""

import os

from openai import OpenAI

client = OpenAI(base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:11434/v1"), api_key="puna")

question = "How do I get my money back?"
sentences = [
    "Our office is closed on public holidays.",
    "Refunds are paid within five working days.",
    "The parcel is on its way.",
]

answer = client.embeddings.create(model="all-minilm", input=[question, *sentences])
asked, *others = (row.embedding for row in answer.data)


def similarity(one: list[float], other: list[float]) -> float:
    """The cosine: every vector has length 1."""
    return sum(a * b for a, b in zip(one, other, strict=True))


print(question)
for score, sentence in sorted(zip((similarity(asked, each) for each in others), sentences, strict=True), reverse=True):
    print(f"  {score:.2f}  {sentence}")
print(f"({answer.usage.prompt_tokens} tokens, {len(asked)} dimensions)")
