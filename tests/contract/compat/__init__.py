"""The table of fields in `docs/compatibility.md`: what OpenAI and Ollama do, and what this API was seen to do.

`rows_*.py` say what is asked and what must be seen; `observe` asks a running stack; `table` writes the page.
`python -m tests.contract.compat` writes it anew.
"""
