"""Ask the default model for the colour of a picture. Start the server with `make run` first."""

import base64
import os
import struct
import zlib

from openai import OpenAI


def png(red: int, green: int, blue: int, side: int = 64) -> bytes:
    """A plain picture, made by hand."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    rows = (b"\0" + bytes((red, green, blue)) * side) * side
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


client = OpenAI(base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:11434/v1"), api_key="puna")

for name, colour in {"red": (255, 0, 0), "green": (0, 128, 0), "blue": (0, 0, 255)}.items():
    picture = "data:image/png;base64," + base64.b64encode(png(*colour)).decode()
    answer = client.chat.completions.create(
        model="smollm2:135m",
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What color is this picture?"},
                    {"type": "image_url", "image_url": {"url": picture}},
                ],
            }
        ],
        temperature=0,
        max_tokens=16,
    )
    print(f"{name}: {answer.choices[0].message.content}")
