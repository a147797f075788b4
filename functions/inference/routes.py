"""The inference function's routes: one file per endpoint."""

from functions.inference import chat, completions, embeddings

ROUTERS = [chat.router, completions.router, embeddings.router]
