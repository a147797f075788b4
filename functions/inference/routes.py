"""The inference function's routes: one file per endpoint."""

from functions.inference import chat, completions, embeddings, responses
from functions.native import embed, generation
from functions.state import conversation_items, conversations, input_tokens
from functions.state import responses as stored_responses

ROUTERS = [
    chat.router,
    completions.router,
    embeddings.router,
    responses.router,
    input_tokens.router,
    stored_responses.router,
    conversations.router,
    conversation_items.router,
    generation.router,
    embed.router,
]
