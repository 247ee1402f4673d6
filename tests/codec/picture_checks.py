"""Measurements and changes of files that several tests of pictures share."""

import dataclasses

import numpy as np

import luxvox
from luxvox.codec import container
from luxvox.codec.container.bands import bands_of
from luxvox.codec.container.parts import list_parts


def psnr(decoded, original):
    error = np.square(decoded.astype(np.float64) - original.astype(np.float64)).mean()
    return 10 * np.log10(255**2 / error) if error else np.inf


def reseal(data, parts=None, **changes):
    """Return a file with other header fields or parts, and right checksums."""
    content = container.read(data)
    header = dataclasses.replace(content.header, **changes)
    return container.write(header, content.sections, content.parts if parts is None else parts)


def describe(data):
    info = luxvox.inspect(data)
    assert isinstance(info, luxvox.FileInfo)
    return info


def parts_of(data):
    """Return where the parts of a file lie."""
    header, start = container.read_header(data)
    assert isinstance(header, container.PictureHeader)
    return list_parts(data, start, bands_of(header)).entries
