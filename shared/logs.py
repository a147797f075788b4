"""Logging: one line per event, on standard error. Prompts, answers and keys never appear in it."""

import logging


def configure(level: str) -> None:
    """Set up this process' log. Raises ValueError for a level that does not exist."""
    logging.basicConfig(
        level=level.upper(),
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        datefmt="%H:%M:%S",
        force=True,
    )
    # RQ logs job descriptions and every step, Mangum every request again, botocore where it found its settings: ours
    # are the lines to read.
    for name in ("rq", "mangum", "botocore"):
        logging.getLogger(name).setLevel(logging.WARNING)
