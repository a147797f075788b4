"""What is taken as an image, and what becomes of it."""

import contextlib
import io
import random
import struct
import zlib
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from shared.images.check import SIDE, checked
from shared.images.errors import ImageRefused
from shared.images.limits import Limits
from tests.pictures import noise, picture

LIMITS = Limits()


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def refused(data: bytes, limits: Limits = LIMITS) -> str | None:
    with pytest.raises(ImageRefused) as caught:
        checked(data, limits)
    assert caught.value.status == 400
    return caught.value.code


@pytest.mark.parametrize(("kind", "mode"), [("PNG", "RGB"), ("PNG", "L"), ("PNG", "P"), ("PNG", "1"), ("JPEG", "RGB")])
def test_plain_files_go_on_as_they_came(kind: str, mode: str) -> None:
    data = picture(kind=kind, mode=mode)
    assert checked(data, LIMITS) == (kind.lower(), data)


@pytest.mark.parametrize("kind", ["WEBP", "GIF"])
def test_what_the_engine_does_not_read_becomes_png(kind: str) -> None:
    form, data = checked(picture("blue", kind), LIMITS)
    image = opened(data)
    assert (form, image.format, image.mode) == ("png", "PNG", "RGB")
    red, green, blue = image.getpixel((8, 8))  # type: ignore[misc]
    assert (red < 10, green < 10, blue > 240) == (True, True, True)


def test_an_animations_first_frame() -> None:
    for kind in ("GIF", "WEBP"):
        frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue", "lime")]
        out = io.BytesIO()
        options = {"lossless": True} if kind == "WEBP" else {}
        frames[0].save(out, kind, save_all=True, append_images=frames[1:], duration=100, **options)  # type: ignore[arg-type]
        assert opened(checked(out.getvalue(), LIMITS)[1]).getpixel((8, 8)) == (255, 0, 0)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF"])
def test_what_is_transparent_lies_on_white(kind: str) -> None:
    out = io.BytesIO()
    Image.new("RGBA", (16, 16), (0, 0, 0, 0)).save(out, kind)
    image = opened(checked(out.getvalue(), LIMITS)[1])
    assert (image.mode, image.getpixel((8, 8))) == ("RGB", (255, 255, 255))


def test_a_turned_photo_is_put_upright_and_loses_its_metadata() -> None:
    photo = Image.new("RGB", (64, 32), "blue")
    photo.paste("red", (0, 0, 32, 32))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90° clockwise to see it
    exif[0x010F] = "a camera"
    out = io.BytesIO()
    photo.save(out, "JPEG", exif=exif, quality=95)
    kind, data = checked(out.getvalue(), LIMITS)
    image = opened(data)
    assert (kind, image.size, dict(image.getexif())) == ("jpeg", (32, 64), {})
    assert image.getpixel((16, 8))[0] > 200  # type: ignore[index]
    assert image.getpixel((16, 56))[2] > 200  # type: ignore[index]


def test_what_is_written_anew_has_a_bounded_size() -> None:
    data = picture("red", "WEBP", (5000, 2500))
    assert opened(checked(data, LIMITS)[1]).size == (SIDE, SIDE // 2)


def test_inks_become_light() -> None:
    out = io.BytesIO()
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(out, "JPEG")
    kind, plain = checked(out.getvalue(), LIMITS)
    image = opened(plain)
    assert (kind, image.mode) == ("jpeg", "RGB")
    assert image.getpixel((8, 8))[0] > 200  # type: ignore[index]


def test_a_phones_file_of_several_pictures_is_a_jpeg() -> None:
    out = io.BytesIO()
    Image.new("RGB", (16, 16), "red").save(out, "MPO", save_all=True, append_images=[Image.new("RGB", (16, 16))])
    assert checked(out.getvalue(), LIMITS) == ("jpeg", out.getvalue())


@pytest.mark.parametrize("kind", ["BMP", "TIFF", "ICO", "PPM", "PDF", "TGA"])
def test_other_formats_are_refused(kind: str) -> None:
    assert refused(picture(kind=kind)) == "invalid_image_format"


@pytest.mark.parametrize("data", [b"hello", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"\xff\xd8\xff", b"<svg/>", b"\0" * 99])
def test_what_is_no_image_is_refused(data: bytes) -> None:
    assert refused(data) in ("invalid_image_format", "image_parse_error")


def test_nothing_is_refused() -> None:
    assert refused(b"") == "empty_image_file"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_file_cut_short_is_refused(kind: str, share: float) -> None:
    out = io.BytesIO()
    opened(noise()).save(out, kind)
    data = out.getvalue()
    checked(data, LIMITS)
    assert refused(data[: int(len(data) * share)]) in ("image_parse_error", "invalid_image_format")


def bomb(width: int, height: int) -> bytes:
    """A PNG of zeros that claims its size truly: a few KB that unfold to gigabytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\0" * 10_000_000, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(50_000, 50_000), (2**31 - 1, 2**31 - 1), (5001, 5000), (1, 2**31 - 1)])
def test_a_bomb_is_refused_before_it_is_unpacked(size: tuple[int, int]) -> None:
    assert refused(bomb(*size)) in ("image_too_large", "image_parse_error")


def test_the_limit_of_pixels_is_exact() -> None:
    data = picture(size=(40, 25))
    checked(data, replace(LIMITS, pixels=1000))
    assert refused(data, replace(LIMITS, pixels=999)) == "image_too_large"


def test_text_chunks_that_unfold_are_refused() -> None:
    text = zlib.compress(b"a" * 100_000_000, 9)
    data = b"key\0\0" + text
    chunk = struct.pack(">I", len(data)) + b"zTXt" + data + struct.pack(">I", zlib.crc32(b"zTXt" + data))
    whole = picture()
    assert refused(whole[:33] + chunk + whole[33:]) == "image_parse_error"


def test_damage_is_an_error_of_the_caller_or_does_not_matter() -> None:
    """Nothing but ImageRefused comes out, whatever bytes go in."""
    drawn = random.Random(7)
    for kind in ("PNG", "JPEG", "WEBP", "GIF"):
        for _ in range(150):
            data: Any = bytearray(picture(kind=kind, size=(24, 24)))
            for _ in range(drawn.randint(1, 12)):
                data[drawn.randrange(len(data))] = drawn.randrange(256)
            with contextlib.suppress(ImageRefused):
                checked(bytes(data), replace(LIMITS, pixels=1_000_000))
