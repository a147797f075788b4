"""A response in the background: its stream breaks off, and is resumed where it was. Then a second one is polled.

Start the server with `make run` first.
"""

import os
import time

from openai import OpenAI

client = OpenAI(base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:11434/v1"), api_key="puna")

stream = client.responses.create(
    model="smollm2:135m", input="Count from one to ten in words.", background=True, stream=True, max_output_tokens=60
)
text, id, seen = "", "", -1
for event in stream:
    seen = event.sequence_number
    if event.type == "response.created":
        id = event.response.id
    if event.type == "response.output_text.delta":
        text += event.delta
        stream.close()  # the connection is gone; the response goes on
        break

for event in client.responses.retrieve(id, stream=True, starting_after=seen):
    if event.type == "response.output_text.delta":
        text += event.delta
print(text)
assert client.responses.retrieve(id).output_text == text

response = client.responses.create(
    model="smollm2:135m",
    input="And now just say goodbye.",
    previous_response_id=id,
    background=True,
    max_output_tokens=20,
)
while response.status in ("queued", "in_progress"):
    time.sleep(0.2)
    response = client.responses.retrieve(response.id)
print(response.status, response.output_text)
