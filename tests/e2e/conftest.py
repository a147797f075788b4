"""Every answer that a test here gets is held against the SDK's types."""

from tests.sdk_types import every_answer_is_of_the_sdks_types

__all__ = ["every_answer_is_of_the_sdks_types"]
