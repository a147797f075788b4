"""The inference function's routes: one file per endpoint."""

from functions.inference import chat, completions, embeddings, responses

ROUTERS = [chat.router, completions.router, embeddings.router, responses.router]
