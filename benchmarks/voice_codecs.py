"""The voice codecs that are compared: luxvox, Opus through PyAV, Codec2 where it is installed."""

import importlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 16_000
CODEC2_DELAY = 160  # samples at 8 kHz

Samples = NDArray[np.float32]


class VoiceCodec(Protocol):
    """What the benchmark asks of a codec; samples are float32 [T] at 16 kHz."""

    @property
    def label(self) -> str:
        """Say name and options, as the tables print them."""

    @property
    def settings(self) -> tuple[float, ...]:
        """List the settings to measure, in kbit/s, from the smallest file to the largest."""

    def code(self, samples: Samples, setting: float) -> tuple[int, Samples]:
        """Return the bytes that are counted, and the decoded samples, as many as came in."""


@dataclass(frozen=True)
class Luxvox:
    """The codec of this package; the whole file is counted.

    Attributes:
        sections: decode only the first so many sections of each segment; they alone are counted.
    """

    label: str = "luxvox"
    settings: tuple[float, ...] = (0.75, 1.5, 3.0, 4.5, 6.0)
    sections: int | None = None

    def code(self, samples: Samples, setting: float) -> tuple[int, Samples]:
        """Compress and decompress."""
        import luxvox
        from luxvox.codec import container

        data = luxvox.compress_speech(samples, RATE_HZ, bitrate=setting)
        decoded, _ = luxvox.decompress_speech(data, sections=self.sections)
        left_out = 0
        if self.sections is not None:
            entries = container.list_sections(data).entries
            left_out = sum(entry.size for entry in entries if entry.type > self.sections)
        return len(data) - left_out, decoded


@dataclass(frozen=True)
class Opus:
    """libopus in PyAV: variable rate for voices at full complexity; its packets are counted."""

    label: str = "Opus (voip, VBR; 60 ms at 6 kbit/s, else 20 ms)"
    settings: tuple[float, ...] = (6.0, 8.0, 12.0, 16.0)

    def code(self, samples: Samples, setting: float) -> tuple[int, Samples]:
        """Encode into an Ogg file in memory, and decode that."""
        av: Any = importlib.import_module("av")
        stream = io.BytesIO()
        n_bytes = 0
        with av.open(stream, "w", format="ogg") as out:
            coder = out.add_stream("libopus", rate=RATE_HZ, layout="mono")
            coder.bit_rate = round(1000 * setting)
            coder.options = {
                "application": "voip",
                "vbr": "on",
                "compression_level": "10",
                "frame_duration": "60" if setting < 8 else "20",
            }
            pcm = np.clip(np.round(samples * 32768.0), -32768, 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono")
            frame.sample_rate = RATE_HZ
            for packet in [*coder.encode(frame), *coder.encode(None)]:
                n_bytes += packet.size
                out.mux(packet)
        stream.seek(0)
        import soundfile

        decoded, rate_hz = soundfile.read(stream, dtype="float32")
        return n_bytes, fitted(decoded, int(rate_hz), len(samples))


@dataclass(frozen=True)
class Codec2:
    """Codec2 in pycodec2: 8 kHz, constant rate; its delay of 20 ms is taken off."""

    label: str = "Codec2 (8 kHz)"
    settings: tuple[float, ...] = (1.2, 2.4, 3.2)

    def code(self, samples: Samples, setting: float) -> tuple[int, Samples]:
        """Encode and decode at 8 kHz."""
        import soxr

        coder = importlib.import_module("pycodec2").Codec2(round(1000 * setting))
        low = np.pad(soxr.resample(samples, RATE_HZ, 8000), (0, CODEC2_DELAY))
        size = coder.samples_per_frame()
        pcm = np.clip(np.round(low * 32768.0), -32768, 32767).astype(np.int16)
        frames = np.pad(pcm, (0, -len(pcm) % size)).reshape(-1, size)
        packets = [coder.encode(frame) for frame in frames]
        decoded = np.concatenate([coder.decode(packet) for packet in packets]) / 32768.0
        counted = sum(map(len, packets))
        aligned = decoded[CODEC2_DELAY:].astype(np.float32)
        return counted, fitted(aligned, 8000, len(samples))


@dataclass(frozen=True)
class Original:
    """The recording itself, for the metrics' own limits."""

    label: str = "original"
    settings: tuple[float, ...] = (256.0,)

    def code(self, samples: Samples, setting: float) -> tuple[int, Samples]:
        """Return what came in, as 16-bit samples would be counted."""
        return 2 * len(samples), samples


def fitted(decoded: Samples, rate_hz: int, n_samples: int) -> Samples:
    """Bring samples to 16 kHz and to a length."""
    import soxr

    at_16_khz: Samples = soxr.resample(decoded, rate_hz, RATE_HZ).astype(np.float32)
    short = max(n_samples - len(at_16_khz), 0)
    return np.pad(at_16_khz, (0, short))[:n_samples]


CODECS: dict[str, Callable[[], VoiceCodec]] = {
    "luxvox": Luxvox,
    "luxvox-prefix": lambda: Luxvox(
        "luxvox, the first section of each segment", (3.0, 6.0), sections=1
    ),
    "opus": Opus,
    "codec2": Codec2,
    "original": Original,
}
