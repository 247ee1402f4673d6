"""The legal files of voices that are kept; see `files.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import luxvox
from luxvox.codec import container
from luxvox.codec.container import Section, VoiceHeader
from luxvox.codec.quality import Quality
from luxvox.entropy.coders import CONSTRICTION, TORCHAC
from luxvox.entropy.voice.plan import Codes
from luxvox.entropy.voice.visitors import CodesEncoder, fixed_source
from luxvox.entropy.voice.walk import walk
from luxvox.models.cards import use_weights
from luxvox.models.voice.weights import voice_codec
from luxvox.tests.golden.changes import cut, with_sections
from luxvox.tests.golden.tiny_weights import TINY
from luxvox.timeline import PARTS, SEGMENT_FRAMES, n_frames, n_segments


def coded_voice(n_samples: int, rate_hz: int, **fields: Any) -> Callable[[], bytes]:
    """Write random codes of a voice with the tiny weights; fields are those of the header."""

    def make() -> bytes:
        with use_weights(TINY):
            codec = voice_codec()
            values = {"stereo": False, "gain": 128, "quality": Quality(5000), "coder": CONSTRICTION}
            header = VoiceHeader(0, codec.fingerprint, n_samples, rate_hz, **{**values, **fields})
            generator = np.random.default_rng([n_samples, rate_hz])
            total = n_frames(n_samples, rate_hz)
            sections = []
            for segment in range(n_segments(n_samples, rate_hz)):
                width = min(SEGMENT_FRAMES, total - segment * SEGMENT_FRAMES)
                for channel in range(header.channels):
                    parts = _voice_segment(codec, header, generator, width)
                    sections += [Section(PARTS * channel + n, parts.get(n, b"")) for n in (1, 2)]
            return container.write(header, sections)

    return make


def _voice_segment(
    codec: Any, header: VoiceHeader, generator: np.random.Generator, width: int
) -> Mapping[int, bytes]:
    plan = codec.context.plan[0]
    words = generator.integers(1, plan.codebook_size, (plan.n_stages, width))
    words *= generator.random((plan.n_stages, width)) < min(0.6, 12 / width)
    codes: Codes = (words * np.cumprod(words != 0, axis=0)).astype(np.uint16)
    encoder = CodesEncoder(fixed_source({plan.name: codes[:, None, None]}), header.coder)
    position = header.quality.log_step_int
    walk(codec.context, {plan.name: (1, width)}, position, encoder)
    return encoder.sections()


def silence() -> bytes:
    """Code silence with the tiny weights."""
    with use_weights(TINY):
        return luxvox.compress_speech(np.zeros(8000, np.float32), 16_000, quality=50)


VOICE_FILES: Mapping[str, tuple[str, Callable[[], bytes]]] = {
    "voice-mono-16k": ("a voice", coded_voice(16_000, 16_000)),
    "voice-1-sample": ("one sample", coded_voice(1, 16_000)),
    "voice-8k": ("listed rate, lowest", coded_voice(4000, 8000)),
    "voice-44k": ("listed rate, 44,100 Hz", coded_voice(22_051, 44_100)),
    "voice-96k": ("listed rate, highest", coded_voice(30_000, 96_000)),
    "voice-12345-hz": ("rate spelt out", coded_voice(9000, 12_345)),
    "voice-stereo": ("two channels", coded_voice(20_000, 16_000, stereo=True)),
    "voice-stereo-exchanged": (
        "mid and side, exchanged",
        coded_voice(20_000, 16_000, stereo=True, stereo_mode=1),
    ),
    "voice-left-and-right": (
        "left and right coded each by itself",
        coded_voice(20_000, 16_000, stereo=True, stereo_mode=2),
    ),
    "voice-two-segments": ("one frame into a second segment", coded_voice(239_681, 16_000)),
    "voice-stereo-two-segments": (
        "two channels, two segments",
        coded_voice(250_000, 16_000, stereo=True),
    ),
    "voice-cut-segment": ("cut in its second segment", cut(coded_voice(480_000, 16_000), 2, 3)),
    "voice-cut-second-section": (
        "cut after the first section of its second segment",
        cut(coded_voice(480_000, 16_000), 3, 0),
    ),
    "voice-gain-quality": (
        "loud, lowest quality",
        coded_voice(5000, 16_000, gain=90, quality=Quality(100)),
    ),
    "voice-tags": ("skippable section", with_sections(coded_voice(5000, 16_000), type_131=b"{}")),
    "voice-torchac": ("coder 2", coded_voice(9000, 16_000, coder=TORCHAC)),
    "voice-silence": ("both sections empty", silence),
}
