"""Why an image is refused: always 400, with the codes that OpenAI's API has for it (`ResponseErrorCode`)."""

from shared.errors import InvalidRequest

INVALID_IMAGE = "invalid image input"
"""Ollama's words for a URL or base64 that is none."""


class ImageRefused(InvalidRequest):
    """An image that cannot be used. `param`, the place of its URL, is set where that is known."""

    default_code = "invalid_image"


def not_downloaded(reason: str) -> ImageRefused:
    """The URL may be right; its server did not give the image."""
    return ImageRefused(f"the image could not be downloaded: {reason}", code="failed_to_download_image")


def bad_url(reason: str) -> ImageRefused:
    """The URL is not one that is fetched."""
    return ImageRefused(f"the image's URL cannot be used: {reason}", code="invalid_image_url")


def too_many_bytes(most: int) -> ImageRefused:
    return ImageRefused(f"the image is larger than {most:,} bytes", code="image_file_too_large")
