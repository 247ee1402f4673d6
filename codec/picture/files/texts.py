"""Texts in a picture that are neither EXIF nor XMP, such as comments and captions; none is kept."""

from __future__ import annotations

from typing import Final

from PIL import Image

from luxvox.codec.picture.files.tiff import as_tiff

_IPTC: Final = 0x0404  # the resource of Photoshop that holds captions
_TIFF_TEXTS: Final = {
    33_723: "IPTC",
    34_377: "Photoshop resources",
    33_550: "GeoTIFF",
    33_922: "GeoTIFF",
    34_735: "GeoTIFF",
}
_SIGNATURES: Final = (b"Creat", b"Kakadu", b"Lavc")  # of encoders, in their comments
_NO_TEXTS: Final = ("software", "date:", "creation time", "xml:com.adobe.xmp", "raw profile")
_RAW_PROFILES: Final = {"Raw profile type iptc": "IPTC", "Raw profile type 8bim": "IPTC"}
_NAMED_TEXTS: Final = 4


def notes_on_texts(image: Image.Image) -> tuple[str, ...]:
    """Say which texts are dropped that are neither EXIF nor XMP: comments, captions."""
    names = []
    comment = image.info.get("comment")
    is_signature = isinstance(comment, bytes) and comment.startswith(_SIGNATURES)
    if image.format in ("JPEG", "MPO", "GIF", "JPEG2000") and comment and not is_signature:
        names.append("comment")
    tiff_file = as_tiff(image)
    if tiff_file is not None:
        found = {name for tag, name in _TIFF_TEXTS.items() if tag in tiff_file.tag_v2}
        names += sorted(found)
    resources = image.info.get("photoshop")
    if isinstance(resources, dict) and resources.get(_IPTC):
        names.append("IPTC")
    if image.format == "PNG":
        texts = [str(key) for key, value in image.info.items() if key and isinstance(value, str)]
        names += [key for key in texts if not key.lower().startswith(_NO_TEXTS)]
        names += [name for key, name in _RAW_PROFILES.items() if key in texts]
    if not names:
        return ()
    more = ", …" if len(names) > _NAMED_TEXTS else ""
    return (f"its texts are not kept: {', '.join(names[:_NAMED_TEXTS])}{more}",)
