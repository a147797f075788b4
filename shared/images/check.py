"""Look at an image before anyone computes on it: what it is, whether it is whole, and in a form that engines read.

llama.cpp reads PNG, JPEG and GIF (stb_image) and no WebP, drops transparency and does not turn photos. Plain PNG and
JPEG files go on as they came; anything else becomes one, without its metadata.
"""

import io
from typing import TYPE_CHECKING, Any, Final

from shared.images.errors import ImageRefused
from shared.images.limits import Limits

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS: Final = ("PNG", "JPEG", "WEBP", "GIF")

SIDE: Final = 2048
"""Pixels of the longer side of an image that is written anew: what OpenAI's `detail: high` keeps, and a bound for what
a few KB of WebP can become."""

_ORIENTATION: Final = 0x0112
_UPRIGHT: Final = (None, 0, 1)
_ALPHA: Final = ("LA", "La", "PA", "RGBA", "RGBa")


def checked(data: bytes, limits: Limits) -> tuple[str, bytes]:
    """`png` or `jpeg`, and a file of that kind. Blocks for the time it takes to decode. Raises ImageRefused."""
    if not data:
        raise ImageRefused("the image is empty", code="empty_image_file")
    try:
        with _opened(data, limits) as image:
            return _plain(image, data)
    except (ImageRefused, ImportError):
        raise
    except Exception:  # decoders of hostile input raise whatever they meet: SyntaxError, struct.error, KeyError …
        raise ImageRefused("the image is damaged or cut short", code="image_parse_error") from None


def _opened(data: bytes, limits: Limits) -> "Image":
    """The image with its header read and no pixel decoded. Raises ImageRefused."""
    from PIL import Image, UnidentifiedImageError

    Image.MAX_IMAGE_PIXELS = None  # the limit below is lower, and an error in every case
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        raise ImageRefused(f"the image is none of {', '.join(FORMATS)}", code="invalid_image_format") from None
    width, height = image.size
    if width * height > limits.pixels:
        raise ImageRefused(
            f"the image has {width} x {height} pixels; {limits.pixels:,} are allowed", code="image_too_large"
        )
    return image


def _plain(image: "Image", data: bytes) -> tuple[str, bytes]:
    if image.format in ("JPEG", "MPO"):  # MPO: a JPEG with more pictures after it, as phones make
        if image.getexif().get(_ORIENTATION) in _UPRIGHT and image.mode in ("L", "RGB"):
            # Reads all of the file, at as little as 1/64 of the work.
            image.draft(image.mode, (max(1, image.width // 8), max(1, image.height // 8)))
            image.load()
            return "jpeg", data
        image.draft(image.mode, (SIDE, SIDE))
        return _written(image, "JPEG", quality=95)
    if image.format == "PNG" and image.mode not in _ALPHA and "transparency" not in image.info:
        image.load()
        return "png", data
    image.seek(0)  # an animation's first frame
    return _written(image, "PNG")


def _written(image: "Image", kind: str, **options: Any) -> tuple[str, bytes]:
    """Upright, opaque, of a bounded size, and nothing but pixels."""
    from PIL import Image, ImageOps

    image.load()
    upright = ImageOps.exif_transpose(image)
    upright.thumbnail((SIDE, SIDE))
    if upright.mode in _ALPHA or "transparency" in upright.info:
        layer = upright.convert("RGBA")
        opaque = Image.new("RGB", layer.size, "white")
        opaque.paste(layer, mask=layer.getchannel("A"))
    else:
        opaque = upright.convert("RGB")
    opaque.info.clear()
    out = io.BytesIO()
    opaque.save(out, kind, **options)
    return kind.lower(), out.getvalue()
