"""Let Pillow open and save `.lvx` pictures: `import luxvox.pillow` registers the format.

    import luxvox.pillow
    from PIL import Image

    with Image.open("photo.lvx") as image:  # reads the header alone
        image.draft(None, (400, 300))       # optional: a smaller picture, in less time
        image.load()
    image.save("again.lvx", quality=60)     # or size=, bpp=, psnr=, effort=, tune=

A picture decodes when its pixels are first asked for. A file that is cut raises an `OSError`, as
Pillow's own readers do, unless `ImageFile.LOAD_TRUNCATED_IMAGES` is set.
"""

from __future__ import annotations

from typing import IO, Any

from PIL import Image, ImageFile

from luxvox import cautions
from luxvox.codec import container
from luxvox.codec.container import MAX_HEADER_SIZE, PictureHeader
from luxvox.errors import LuxvoxError, TruncatedError

FORMAT = "LVX"
SUFFIX = ".lvx"
MIME_TYPE = "image/x-luxvox"

_SCALES = 16, 8, 4, 2
_MODES = {(False, False): "L", (False, True): "LA", (True, False): "RGB", (True, True): "RGBA"}
_OPTIONS = ("quality", "size", "bpp", "psnr", "effort", "tune", "strip")
_METADATA = ("icc_profile", "exif", "xmp")


class LuxvoxImageFile(ImageFile.ImageFile):
    """A `.lvx` picture that is decoded when its pixels are needed."""

    format = FORMAT
    format_description = "luxvox picture"

    def _open(self) -> None:
        """Read the header; raise SyntaxError, as Pillow asks for, if it is not a picture's."""
        if self.fp is None:
            raise SyntaxError("the file is closed")
        try:
            header, _ = container.read_header(self.fp.read(MAX_HEADER_SIZE))
        except LuxvoxError as error:
            raise SyntaxError(str(error)) from None
        if not isinstance(header, PictureHeader):
            raise SyntaxError("this .lvx file holds a voice")
        self._full_size = self._size = header.width, header.height
        self._mode = _MODES[header.colour, header.alpha]
        self._divisor = 1
        self._is_decoded = self._has_metadata = False

    def draft(
        self, mode: str | None, size: tuple[int, int] | None
    ) -> tuple[str, tuple[int, int, float, float]] | None:
        """Ask for a smaller picture, at least as large as `size` where the full one is.

        Args:
            mode: must be None or the picture's own; another one is not offered.
            size: width and height in pixels.

        Returns:
            The mode, and the box of the full picture in pixels of the smaller one; None if the
            picture stays unchanged.
        """
        if size is None or self._is_decoded:
            return None
        width, height = self._full_size
        fits = (n for n in _SCALES if width // n >= size[0] and height // n >= size[1])
        self._divisor = next(fits, 1)
        self._size = _divide(width, self._divisor), _divide(height, self._divisor)
        return self.mode, (0, 0, width / self._divisor, height / self._divisor)

    def load(self) -> Any:
        """Decode the pixels and the metadata, once.

        Raises:
            OSError: if the file is cut, damaged, or cannot be decoded here.
        """
        if not self._is_decoded:
            self._decode()
        return Image.Image.load(self)

    def getexif(self) -> Image.Exif:
        """Return the EXIF data; reads the file, but decodes no pixel."""
        self._read_metadata()
        return super().getexif()

    def getxmp(self, **options: bool) -> dict[str, Any]:
        """Return the XMP data as a dictionary; reads the file, but decodes no pixel."""
        self._read_metadata()
        return super().getxmp(**options)

    def _read_metadata(self) -> None:
        if self._is_decoded or self._has_metadata:
            return
        from luxvox.codec.picture.decoding import metadata_of

        try:
            content, _ = container.salvage(self._data())
            parts = dict(zip(_METADATA, metadata_of(content), strict=True))
        except LuxvoxError as error:
            raise OSError(str(error)) from None
        self.info.update({name: part for name, part in parts.items() if part is not None})
        self._has_metadata = True

    def _decode(self) -> None:
        from luxvox.codec.pictures import decompress_image

        with cautions.collect():
            try:
                decoded = decompress_image(
                    self._data(),
                    scale=1.0 / self._divisor,
                    as_pil=True,
                    strict=not ImageFile.LOAD_TRUNCATED_IMAGES,
                )
            except TruncatedError as error:
                raise OSError(f"image file is truncated: {error}") from None
            except LuxvoxError as error:
                raise OSError(str(error)) from None
        self.im = decoded.im
        self._mode, self._size = decoded.mode, decoded.size
        self.info.update(decoded.info)
        self._is_decoded = True
        if self._exclusive_fp and self.fp is not None:
            self.fp.close()
        self.fp = None

    def _data(self) -> bytes:
        if self.fp is None:
            raise ValueError("Operation on closed image")
        self.fp.seek(0)
        return self.fp.read()


def _divide(n_pixels: int, divisor: int) -> int:
    return -(-n_pixels // divisor)


def _accept(prefix: bytes) -> bool:
    return prefix.startswith(container.MAGIC)


def _save(image: Image.Image, stream: IO[bytes], filename: str | bytes) -> None:
    """Write a picture; options of `compress_image` and metadata are taken from `save`'s."""
    from luxvox.codec.pictures import compress_image

    asked = image.encoderinfo
    options = {name: asked[name] for name in _OPTIONS if name in asked}
    given = {name: asked[name] for name in _METADATA if name in asked}
    is_object = isinstance(image.info.get("exif"), Image.Exif)
    # A copy forgets its file: the tags of a TIFF, and the frames that are not kept.
    picture = image.copy() if given or is_object else image
    picture.info.update(given)
    for name in _METADATA:
        if not picture.info.get(name, True):  # Pillow's way to leave it out
            del picture.info[name]
    if isinstance(picture.info.get("exif"), Image.Exif):
        picture.info["exif"] = picture.info["exif"].tobytes()
    try:
        stream.write(compress_image(picture, **options))
    except LuxvoxError as error:
        raise OSError(str(error)) from error


Image.register_open(FORMAT, LuxvoxImageFile, _accept)
Image.register_save(FORMAT, _save)
Image.register_extension(FORMAT, SUFFIX)
Image.register_mime(FORMAT, MIME_TYPE)
