"""The inference function's routes: one file per endpoint."""

from functions.inference import chat

ROUTERS = [chat.router]
