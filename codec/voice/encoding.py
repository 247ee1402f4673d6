"""Encoding a voice: its channels are analysed once, then coded at any quality."""

from __future__ import annotations

import contextlib
import copy
import functools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from luxvox.codec import container
from luxvox.codec.container import Section, VoiceHeader
from luxvox.codec.effort import VoiceWork
from luxvox.codec.quality import FINEST, Quality
from luxvox.codec.voice.analysis import (
    Frames,
    analyse_channel,
    blocks_at_coded_rate,
    channel_blocks,
    code_at_full_depth,
    join_frames,
    leave_uncoded,
    uncoded_frames,
)
from luxvox.codec.voice.loudness import amplitude_of, gain_of, measure, measured_segments
from luxvox.codec.workers import in_one_thread, side_by_side
from luxvox.entropy.voice.plan import Codes
from luxvox.entropy.voice.visitors import CodesEncoder, Source, fixed_source
from luxvox.entropy.voice.walk import walk
from luxvox.models.voice.choice import VoiceChoice
from luxvox.models.voice.correction import MIN_FRAMES, correct_latents, networks_for_correction
from luxvox.models.voice.tiling import SampleWindow
from luxvox.progress import Progress, part_of, report_items, silent
from luxvox.timeline import FRAME_SAMPLES, PARTS, SEGMENT_FRAMES, coded_length, n_segments

if TYPE_CHECKING:
    from luxvox.codec.voice.recordings import OpenRecording
    from luxvox.models.voice.networks import SpeechModel
    from luxvox.models.voice.weights import VoiceCodec

Samples = NDArray[np.float32]

_FINENESS = 0.2, 0.3, 0.45, 0.7, 0.85  # of qualities, 0 … 1
_TYPICAL_RATIOS = {  # bits of codes relative to static tables: by fineness, and by `by_context`
    True: (0.799, 0.821, 0.827, 0.813, 0.79),
    False: (0.848, 0.865, 0.868, 0.848, 0.827),
}
_ANALYSIS_SHARE = {True: 0.1, False: 0.5}  # of the work: with and without correction of latents
_CORRECTION_SHARE = 0.7  # of the remaining work
_CORRECTED_FRAMES = -(-SEGMENT_FRAMES // 4)  # at a time, to save three quarters of the memory
_MAX_NEIGHBOURS = 8  # frames on each side, a sixth of a second
_FILE_BYTES, _SECTION_BYTES = 24, 5  # overhead of all sections together, and of each
_ALL = slice(None)


def networks_on(codec: VoiceCodec, device: str) -> SpeechModel:
    """Return the networks of a codec on a device: `cpu` or `cuda`."""
    return codec.model if device == "cpu" else _move(codec, device)


@functools.lru_cache(maxsize=4)
def _move(codec: VoiceCodec, device: str) -> SpeechModel:
    """Copy the networks of a codec to a device, once for each codec."""
    return copy.deepcopy(codec.model).to(device)


@dataclass(frozen=True)
class _Window:
    """Frames that are decoded together to correct some of them.

    Attributes:
        frames: all of them.
        corrected: those of `frames` that are corrected, counted from its start; the others are
            their neighbours.
        samples: [320 · (n − 1)] at 16 kHz and the common level.
    """

    frames: range
    corrected: slice
    samples: Samples


class VoiceEncoder:
    """Makes several files of one recording, without analysing it twice.

    Without corrections, codes are chosen at full depth first, and the lowest effort cuts every
    quality from them. The others keep latents (19 kB a second in half precision, which is far finer
    than the codewords), and choose codes for the depths of frames at a quality. Correction reads
    the recording again, and corrects the latents for these depths first.

    Args:
        codec: the networks, on the CPU.
        recording: the recording to read and analyse.
        work: how much effort goes into the codes.
        networks: a copy of the networks on the device for analysis and correction.
        progress: called with the share of the work done.

    Attributes:
        header: of its files, for the finest quality.
        level: how loud the recording is.
        measured: segments whose level is compared after coding.
    """

    def __init__(
        self,
        codec: VoiceCodec,
        recording: OpenRecording,
        work: VoiceWork,
        networks: SpeechModel,
        progress: Progress,
    ) -> None:
        self.codec, self._work, self._networks = codec, work, networks
        self.level = measure(blocks_at_coded_rate(recording))
        self.measured = measured_segments(self.level)
        self.header = VoiceHeader(
            model_number=codec.card.number,
            fingerprint=codec.fingerprint,
            n_samples=recording.n_samples,
            sample_rate_hz=recording.sample_rate_hz,
            stereo=recording.channels == 2,
            gain=gain_of(self.level),
            quality=FINEST,
            coder=1,
            stereo_mode=self.level.stereo_mode,
        )
        self._newest_codes: dict[tuple[int, int], Codes] = {}
        self._measured_codes: dict[bytes, list[Codes]] = {}

        scale = np.float32(amplitude_of(self.header.gain))
        self._blocks = tuple(
            functools.partial(channel_blocks, recording, channel, self.level, scale)
            for channel in range(recording.channels)
        )
        share = _ANALYSIS_SHARE[self._is_to_be_corrected]
        self._channels = self._analyse(part_of(progress, 0.0, share))
        self._progress = part_of(progress, share, 1.0 - share)

    @property
    def n_segments(self) -> int:
        """Return how many segments its files have."""
        return n_segments(self.header.n_samples, self.header.sample_rate_hz)

    @property
    def _is_to_be_corrected(self) -> bool:
        return self._work.n_corrections > 0

    def _analyse(self, progress: Progress) -> tuple[Frames, ...]:
        n_coded = coded_length(self.header.n_samples, self.header.sample_rate_hz)
        code = functools.partial(leave_uncoded, self.codec)
        if not self._is_to_be_corrected:
            keeps_latents = self._work.chooses_again
            code = functools.partial(code_at_full_depth, self.codec, keeps_latents=keeps_latents)
        share = 1.0 / len(self._blocks)
        return tuple(
            analyse_channel(
                self._networks, read(), n_coded, code, part_of(progress, channel * share, share)
            )
            for channel, read in enumerate(self._blocks)
        )

    def prepare(self, quality: Quality) -> None:
        """Correct the latents for a quality, once, if that is part of the work."""
        if not self._is_to_be_corrected:
            return
        channels = []
        networks = networks_for_correction(self._networks)
        for channel, frames in enumerate(self._channels):
            total = len(frames.power_db)
            correct = in_one_thread(functools.partial(self._correct, networks, channel, quality))
            n_windows = -(-total // _CORRECTED_FRAMES)
            windows = side_by_side(correct, self._windows(channel, total), n_windows)
            share = _CORRECTION_SHARE / len(self._channels)
            done = part_of(self._progress, channel * share, share)
            with contextlib.closing(windows) as parts:
                channels.append(join_frames(report_items(parts, n_windows, done), total))
        self._channels = tuple(channels)
        self._work = replace(self._work, n_corrections=0)
        self._progress = part_of(self._progress, _CORRECTION_SHARE, 1.0 - _CORRECTION_SHARE)

    def at(self, quality: Quality, begin: float = 0.0, share: float = 1.0) -> bytes:
        """Return the file at a quality; latents are corrected for the first call's quality.

        Args:
            quality: beyond `FINEST`, soft frames get as many stages as loud ones.
            begin, share: the part of the remaining work that this is, for progress.
        """
        self.prepare(quality)
        header = replace(self.header, quality=min(quality, FINEST))
        progress = part_of(self._progress, begin, share)
        data = container.write(header, self.sections(range(self.n_segments), quality, progress))
        channels = range(header.channels)
        self._measured_codes[data] = [
            self._newest_codes[segment, channel]
            for segment in self.measured
            for channel in channels
        ]
        return data

    def sections(
        self, segments: range, quality: Quality, progress: Progress = silent
    ) -> list[Section]:
        """Return the sections of some segments, channel by channel within each."""
        pairs = [(n, channel) for n in segments for channel in range(self.header.channels)]
        coded = side_by_side(lambda pair: self._segment(*pair, quality), pairs, len(pairs))
        with contextlib.closing(coded) as parts:
            watched = report_items(parts, len(pairs), progress)
            return [section for sections in watched for section in sections]

    def measured_codes(self, data: bytes) -> list[Codes]:
        """Return the codes [stages, frames] of measured segments in one of the encoder's files."""
        return self._measured_codes[data]

    @property
    def overhead(self) -> int:
        """Return roughly how many bytes of a file are not codes."""
        n_sections = self.n_segments * PARTS * self.header.channels
        return _FILE_BYTES + n_sections * _SECTION_BYTES

    def expected_code_bits(self, quality: Quality, frames: slice = _ALL) -> float:
        """Return roughly how many bits the codes of some frames take, from the static tables."""
        fineness = (1.0 - quality.log_step) / 2.0
        ratio = np.interp(fineness, _FINENESS, _TYPICAL_RATIOS[self._work.by_context])
        total = 0.0
        for channel in self._channels:
            depths = self._depths(channel.power_db[frames], quality)
            bits = channel.static_bits[:, frames]
            total += float(bits[np.arange(len(bits))[:, None] < depths].sum())
        return float(ratio) * total

    def _depths(self, power_db: NDArray[np.float32], quality: Quality) -> NDArray[np.int64]:
        return self.codec.model.depths_of_powers(power_db, quality.log_step)

    def _windows(self, channel: int, total: int) -> Iterator[_Window]:
        """Yield frames that are corrected together, with their neighbours and samples."""
        halo, window = self._neighbours, SampleWindow(self._blocks[channel]())
        for start in range(0, total, _CORRECTED_FRAMES):
            # The last frames may be too few, and need more neighbours.
            low = max(min(start - halo, total - MIN_FRAMES), 0)
            high = min(start + _CORRECTED_FRAMES + halo, total)
            corrected = slice(start - low, start - low + _CORRECTED_FRAMES)
            samples = window.cut(low * FRAME_SAMPLES, (high - 1) * FRAME_SAMPLES)
            yield _Window(range(low, high), corrected, samples.copy())

    @property
    def _neighbours(self) -> int:
        """Frames on each side that are decoded with corrected ones; more would matter little."""
        return min(self.codec.model.synthesis_halo, _MAX_NEIGHBOURS)

    def _correct(
        self, networks: SpeechModel, channel: int, quality: Quality, window: _Window
    ) -> Frames:
        """Correct the latents of some frames; their neighbours are not changed."""
        model = self.codec.model
        frames = slice(window.frames.start, window.frames.stop)
        power = self._channels[channel].power_db[frames]
        depths = self._depths(power, quality)
        corrected = correct_latents(
            networks,
            self._channels[channel].latents[:, :, frames].float(),
            torch.from_numpy(window.samples),
            depths,
            self._work.n_corrections,
        )

        # Codes beyond the depth are only estimated.
        coded = np.arange(corrected.codes.shape[1])[:, None] < depths
        static = model.static_bits(corrected.codes)
        bits = np.where(coded, static, model.expected_bits()[:, None])

        own = window.corrected
        return uncoded_frames(corrected.latents[:, :, own], power[own], bits[:, own])

    def _source(self, channel: int, frames: slice, depths: NDArray[np.int64]) -> Source:
        """Return the source of codes of the first `depths` stages of each frame."""
        model, whole = self.codec.model, self._channels[channel]
        level = self.codec.context.plan[0].name
        latents = whole.latents[:, :, frames].float()
        if self._work.by_context:
            return VoiceChoice(model.vq, latents, depths).choose
        if self._work.beam_width > 1:
            codes: Codes = model.choose_to_depths(latents, depths, self._work.beam_width)
        else:
            codes = whole.codes[:, frames]
            codes = codes * (np.arange(len(codes))[:, None] < depths).astype(np.uint16)
        return fixed_source({level: codes[:, None, None]})

    def _segment(self, segment: int, channel: int, quality: Quality) -> list[Section]:
        frames = slice(segment * SEGMENT_FRAMES, (segment + 1) * SEGMENT_FRAMES)
        depths = self._depths(self._channels[channel].power_db[frames], quality)
        encoder = CodesEncoder(self._source(channel, frames, depths), self.header.coder)
        level = self.codec.context.plan[0].name
        shape = {level: (1, len(depths))}
        codes = walk(self.codec.context, shape, min(quality, FINEST).log_step_int, encoder)
        if segment in self.measured:
            self._newest_codes[segment, channel] = codes[level][:, 0, 0]
        coded = encoder.sections()
        return [Section(PARTS * channel + n, coded.get(n, b"")) for n in range(1, PARTS + 1)]
