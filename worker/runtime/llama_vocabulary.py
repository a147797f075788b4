"""Whether the model has tokens that a caller names by their numbers."""

from collections.abc import Sequence

from shared.errors import EngineFailed, InvalidRequest
from worker.runtime.llama_http import EngineClient


async def ensure_known(engine: EngineClient, tokens: Sequence[int], param: str) -> None:
    """Raises InvalidRequest with `param` for a number outside the vocabulary.

    The engine answers for the highest token, or says with status 500 that there is none.
    """
    if not tokens:
        return
    try:
        await engine.call("/detokenize", {"tokens": [max(tokens)]})
    except EngineFailed as error:
        if "status 500" not in error.message:
            raise
        raise InvalidRequest(f"token {max(tokens)} is not in the model's vocabulary.", param=param) from None
