"""A second decoder: the bytes of a picture or a voice to its codes, written from FORMAT.md alone.

It shares no code with luxvox, so that where both agree, the document says enough and luxvox does
what it says. Whole numbers throughout, slow and plain; each part names the chapter it follows. It
keeps nothing but the codes.
"""

from luxvox.tests.second_decoder.arithmetic import fingerprint, log_step
from luxvox.tests.second_decoder.coders import (
    STATE,
    WORD,
    BatchDecoder,
    RangeDecoder,
    boundaries,
    pmf,
)
from luxvox.tests.second_decoder.container import Cut, Refused, read_picture, read_voice
from luxvox.tests.second_decoder.pictures import read_codes
from luxvox.tests.second_decoder.voices import Level, LevelState, read_voice_codes

__all__ = ["STATE", "WORD", "BatchDecoder", "Cut", "Level", "LevelState", "RangeDecoder", "Refused"]
__all__ += [
    "boundaries",
    "fingerprint",
    "log_step",
    "pmf",
    "read_codes",
    "read_picture",
    "read_voice",
]
__all__ += ["read_voice_codes"]
