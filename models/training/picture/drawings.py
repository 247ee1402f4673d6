"""Rendered text, flat graphics and smooth shades, which photographs lack."""

from __future__ import annotations

import random
import string

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

SIZE = 384


def drawing(seed: int) -> Tensor:
    """Return a drawing, uint8 [3, 384, 384]: text, shapes or both in flat colours, or a shade."""
    chance = random.Random(seed)
    if seed % 4 == 3:
        return _shade(chance)
    image = Image.new("RGB", (SIZE, SIZE), _colour(chance))
    canvas = ImageDraw.Draw(image)

    # A third of the seeds give text, a third shapes, a third text over shapes.
    if seed % 3:
        _shapes(canvas, chance)
    if seed % 3 != 1:
        _text(canvas, chance)

    # [H, W, 3] -> [3, H, W]; a copy, since Pillow's array cannot be written to.
    pixels: NDArray[np.uint8] = np.asarray(image)
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).contiguous()


def _shade(chance: random.Random) -> Tensor:
    """Return one colour everywhere, or a gradient between two from border to border."""
    begin, end = (torch.tensor(_colour(chance), dtype=torch.float32) for _ in range(2))

    # Most gradients of skies and walls are faint; half of these drawings have none.
    end = begin + (end - begin) * chance.choice([0.0, 0.0, 0.1, 0.5])

    # [384] and [384] -> [384, 384], 0 at one corner and 1 at the opposite one, or along one side.
    ramp = torch.linspace(0.0, 1.0, SIZE)
    across = chance.choice([0.0, 0.3, 1.0])
    share = (1.0 - across) * ramp[:, None] + across * ramp[None, :]

    # [3, 1, 1] and [384, 384] -> [3, 384, 384]
    pixels = begin[:, None, None] + (end - begin)[:, None, None] * share
    return pixels.round().to(torch.uint8)


def _colour(chance: random.Random) -> tuple[int, int, int]:
    """Return a colour; most are black, white or saturated."""
    # Pages and their print: black, white, and the greys next to them.
    if chance.random() < 0.4:
        return chance.choice([(0, 0, 0), (255, 255, 255), (240, 240, 240), (30, 30, 30)])

    # Saturated colours are the corners of the RGB cube.
    if chance.random() < 0.5:
        red, green, blue = (chance.choice([0, 255]) for _ in range(3))
        return red, green, blue

    red, green, blue = (chance.randrange(256) for _ in range(3))
    return red, green, blue


def _shapes(canvas: ImageDraw.ImageDraw, chance: random.Random) -> None:
    for _ in range(chance.randint(4, 14)):
        # Shapes may begin outside, so the border cuts some off.
        x = chance.randrange(-40, SIZE)
        y = chance.randrange(-40, SIZE)
        box = (x, y, x + chance.randint(8, 220), y + chance.randint(8, 220))

        kind = chance.randrange(3)
        if kind == 0:
            canvas.rectangle(box, fill=_colour(chance))
        elif kind == 1:
            canvas.ellipse(box, fill=_colour(chance))
        else:
            canvas.line(box, fill=_colour(chance), width=chance.randint(1, 8))


def _text(canvas: ImageDraw.ImageDraw, chance: random.Random) -> None:
    y = chance.randint(0, 20)
    colour = _colour(chance)
    while y < SIZE:
        # Frequent spaces divide a line into words; it crosses most of the drawing.
        size = chance.choice([10, 12, 14, 16, 20, 28, 40])
        letters = string.ascii_letters + string.digits + "    .,;:-()"
        line = "".join(chance.choice(letters) for _ in range(600 // size))
        x = chance.randint(0, 30)
        canvas.text((x, y), line, fill=colour, font=ImageFont.load_default(size))

        y += size + chance.randint(2, 16)
        if chance.random() < 0.2:
            colour = _colour(chance)
