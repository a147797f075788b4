"""What the API adds to the engine, measured. `python -m tests.bench` prints tables and writes JSON."""
