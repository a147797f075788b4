"""The inference function's routes: one file per endpoint."""

from functions.inference import chat, completions, embeddings
from functions.native import embed, generation

ROUTERS = [chat.router, completions.router, embeddings.router, generation.router, embed.router]
