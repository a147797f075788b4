"""Responses: OpenAI's Responses API as a view of a chat's frames. Pure: no I/O, the same for everyone who looks."""
