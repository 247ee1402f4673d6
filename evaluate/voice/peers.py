"""The voice codecs that come with the evaluation: luxvox, Opus by PyAV, Codec2 by pycodec2.

Of luxvox the whole file counts. Of the others the payload alone does: how packets are wrapped is
not the codec's concern, and at these rates an Ogg file would double them.
"""

from __future__ import annotations

import importlib
import io
import struct
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from luxvox.codec.voice.recordings import to_pcm16
from luxvox.evaluate.inputs import VOICE_RATE_HZ, VOICES, Kind

Samples = NDArray[np.float32]

_CODEC2_DELAY = 160  # samples at 8 kHz
_CODEC2_HEAD = struct.Struct("<HI")  # bit/s, samples at 8 kHz


@dataclass(frozen=True)
class Luxvox:
    """The codec of this package; a point is in kbit/s of the whole file.

    Attributes:
        sections: decode only the first n sections of each segment; they alone count.
        effort: what the encoder takes.
    """

    name: str = "luxvox"
    label: str = "luxvox"
    kind: Kind = VOICES
    points: tuple[float, ...] = (0.75, 1.5, 3.0, 4.5, 6.0)
    install: str = "pip install --force-reinstall luxvox"
    sections: int | None = None
    effort: int = 5

    def version(self) -> str:
        """Name version, model and fingerprint."""
        from luxvox import __version__
        from luxvox.models.cards import find_card
        from luxvox.models.voice.weights import VOICE_KIND

        card = find_card(VOICE_KIND)
        return f"luxvox {__version__}, {card.id} {card.fingerprint} {card.sha256[:8]}"

    def encode(self, original: Samples, point: float) -> bytes:
        """Return the bytes of an .lvx file; its rate is what counts, not the one asked for."""
        import luxvox

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", luxvox.TargetWarning)
            return luxvox.compress_speech(
                original, VOICE_RATE_HZ, bitrate=point, effort=self.effort
            )

    def decode(self, data: bytes) -> Samples:
        """Return the samples of an .lvx file, or of its first sections."""
        import luxvox

        return luxvox.decompress_speech(data, sections=self.sections)[0]

    def payload_bytes(self, data: bytes) -> int:
        """Count the whole file, or what its first sections leave of it."""
        from luxvox.codec import container

        if self.sections is None:
            return len(data)
        entries = container.list_sections(data).entries
        return len(data) - sum(entry.size for entry in entries if entry.type > self.sections)


@dataclass(frozen=True)
class Opus:
    """Opus by libopus in PyAV; a point is in kbit/s, and the packets' bytes count."""

    name: str = "opus"
    label: str = "Opus (voip, VBR; 60 ms at 6 kbit/s, else 20 ms)"
    kind: Kind = VOICES
    points: tuple[float, ...] = (6.0, 8.0, 12.0, 16.0)
    install: str = "pip install 'luxvox[evaluate]'"

    def version(self) -> str:
        """Name PyAV, which brings libopus."""
        importlib.import_module("av")
        return f"av {version('av')}"

    def encode(self, original: Samples, point: float) -> bytes:
        """Return the bytes of an Ogg file."""
        av: Any = importlib.import_module("av")
        stream = io.BytesIO()
        with av.open(stream, "w", format="ogg") as out:
            coder = out.add_stream("libopus", rate=VOICE_RATE_HZ, layout="mono")
            coder.bit_rate = round(1000 * point)
            coder.options = {
                "application": "voip",
                "vbr": "on",
                "compression_level": "10",
                "frame_duration": "60" if point < 8 else "20",
            }
            frame = av.AudioFrame.from_ndarray(
                to_pcm16(original)[None], format="s16", layout="mono"
            )
            frame.sample_rate = VOICE_RATE_HZ
            for packet in [*coder.encode(frame), *coder.encode(None)]:
                out.mux(packet)
        return stream.getvalue()

    def decode(self, data: bytes) -> Samples:
        """Return the samples of an Ogg file."""
        decoded, rate_hz = soundfile.read(io.BytesIO(data), dtype="float32")
        return _at_16_khz(decoded, int(rate_hz))

    def payload_bytes(self, data: bytes) -> int:
        """Count the packets of sound in the pages of an Ogg file (RFC 3533), not its headers."""
        packets = list(_ogg_packets(data))
        return sum(n for n, head in packets if head not in (b"OpusHead", b"OpusTags"))


@dataclass(frozen=True)
class Codec2:
    """Codec2 by pycodec2: 8 kHz, constant rate; its delay of 20 ms is taken off."""

    name: str = "codec2"
    label: str = "Codec2 (8 kHz)"
    kind: Kind = VOICES
    points: tuple[float, ...] = (1.2, 2.4, 3.2)
    install: str = "apt install libcodec2-dev && pip install 'luxvox[codec2]'"

    def version(self) -> str:
        """Name pycodec2."""
        importlib.import_module("pycodec2")
        return f"pycodec2 {version('pycodec2')}"

    def encode(self, original: Samples, point: float) -> bytes:
        """Return a head of our own and the packets, one after the other."""
        bit_rate = round(1000 * point)
        coder: Any = importlib.import_module("pycodec2").Codec2(bit_rate)
        pcm = to_pcm16(np.pad(soxr.resample(original, VOICE_RATE_HZ, 8000), (0, _CODEC2_DELAY)))
        size = coder.samples_per_frame()
        frames = np.pad(pcm, (0, -len(pcm) % size)).reshape(-1, size)
        head = _CODEC2_HEAD.pack(bit_rate, len(pcm))
        return head + b"".join(coder.encode(frame) for frame in frames)

    def decode(self, data: bytes) -> Samples:
        """Return the samples of the packets."""
        bit_rate, n_samples = _CODEC2_HEAD.unpack_from(data)
        coder: Any = importlib.import_module("pycodec2").Codec2(bit_rate)
        size = coder.bits_per_frame() // 8
        packets = [data[i : i + size] for i in range(_CODEC2_HEAD.size, len(data), size)]
        pcm = np.concatenate([coder.decode(packet) for packet in packets])
        return _at_16_khz(pcm[_CODEC2_DELAY:n_samples].astype(np.float32) / 32768.0, 8000)

    def payload_bytes(self, data: bytes) -> int:
        """Count the packets."""
        return len(data) - _CODEC2_HEAD.size


@dataclass(frozen=True)
class Original:
    """The recording itself as 16-bit samples: what the metrics give without loss."""

    name: str = "original"
    label: str = "original (16-bit samples)"
    kind: Kind = VOICES
    points: tuple[float, ...] = (256.0,)
    install: str = ""

    def version(self) -> str:
        """Name the samples."""
        return "16-bit samples"

    def encode(self, original: Samples, point: float) -> bytes:
        """Return the samples, rounded."""
        return to_pcm16(original).astype("<i2").tobytes()

    def decode(self, data: bytes) -> Samples:
        """Return the samples."""
        return np.frombuffer(data, "<i2").astype(np.float32) / np.float32(32768.0)

    def payload_bytes(self, data: bytes) -> int:
        """Count everything."""
        return len(data)


def _at_16_khz(samples: Samples, rate_hz: int) -> Samples:
    resampled: Samples = soxr.resample(samples, rate_hz, VOICE_RATE_HZ).astype(np.float32)
    return resampled


def _ogg_packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield length and first 8 bytes of each packet of an Ogg stream."""
    offset, packet = 0, b""
    while offset < len(data):
        n_lacing = data[offset + 26]
        lacing = data[offset + 27 : offset + 27 + n_lacing]
        offset += 27 + n_lacing
        for n_bytes in lacing:
            packet += data[offset : offset + n_bytes]
            offset += n_bytes
            if n_bytes < 255:
                yield len(packet), packet[:8]
                packet = b""


LUXVOX = Luxvox()
LUXVOX_FAST, LUXVOX_BEST = (
    Luxvox(f"luxvox-{effort}", f"luxvox, effort {effort}", points=(1.5, 3.0, 6.0), effort=effort)
    for effort in (1, 9)
)
LUXVOX_PREFIX = Luxvox(
    "luxvox-prefix", "luxvox, the first section of each segment", points=(3.0, 6.0), sections=1
)
OPUS = Opus()
CODEC2 = Codec2()
ORIGINAL = Original()
