"""A voice on its way to a file: analysed once, and coded from there at any rate."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from luxvox.codec import container
from luxvox.codec.container import Section, VoiceHeader
from luxvox.codec.effort import VoiceWork
from luxvox.codec.quality import centi_to_position, centi_to_share
from luxvox.codec.search import COARSEST, FINEST, Window
from luxvox.codec.targets import SIZE_STEP, SIZE_TOLERANCE
from luxvox.codec.voice.analysis import (
    Part,
    analysed,
    blocks_at_coded_rate,
    channel_blocks,
    coded_at_full_depth,
    joined_parts,
    uncoded,
    uncoded_part,
)
from luxvox.codec.voice.loudness import Level, amplitude_of, gain_of, measure
from luxvox.codec.workers import in_one_thread, side_by_side
from luxvox.entropy.voice.plan import Codes
from luxvox.entropy.voice.visitors import CodesEncoder, Source, fixed_source
from luxvox.entropy.voice.walk import walk
from luxvox.errors import UsageError
from luxvox.models.voice.choice import VoiceChoice
from luxvox.models.voice.correction import HEARD_SHARE, refined_latents
from luxvox.models.voice.tiling import SampleWindow
from luxvox.progress import Advance, part_of, silent
from luxvox.timeline import FRAME_SAMPLES, PARTS, SEGMENT_FRAMES, coded_length, n_frames, n_segments

if TYPE_CHECKING:
    from luxvox.codec.voice.recordings import OpenRecording
    from luxvox.models.voice.weights import VoiceCodec

Samples = NDArray[np.float32]
Item = TypeVar("Item")

_TOLERANCE = 0.02  # of the bitrate, where the search stops
_MAX_TRIES = 7
_FINENESS = 0.2, 0.3, 0.45, 0.7, 0.85  # of qualities, 0 … 1
_TYPICAL_RATIOS = {  # bits of codes over what static tables say: by fineness, and by `by_context`
    True: (0.903, 0.904, 0.9, 0.848, 0.811),
    False: (0.865, 0.862, 0.857, 0.836, 0.83),
}
_ANALYSIS_SHARE = {True: 0.1, False: 0.5}  # of the work: where latents are corrected, and not
_REFINED_SHARE = 0.7  # of what is left then
_TRY_SHARE = 0.7  # of what is left: few searches try more than twice
_SAMPLED_EVERY = 4  # segments; long recordings are tried on a sample first
_BEYOND = 16_000  # hundredths: beyond quality 100 soft frames get as many stages as loud ones
_REFINED_FRAMES = -(-SEGMENT_FRAMES // 4)  # at a time: a quarter of the memory
_MAX_NEIGHBOURS = 16  # frames on each side, a third of a second
_FILE_BYTES, _SECTION_BYTES = 24, 5  # around all sections, and around each
_ALL = slice(None)


@dataclass(frozen=True)
class VoiceEncoder:
    """A recording analysed once: its codes at full depth, from which every rate is cut.

    Latents (19 kB a second in half precision, which is finer by far than codewords) are kept where
    there is more work to do: with a beam wider than 1, or by the context model's costs, codes are
    chosen again for the depth that each frame has at a rate, and refinement, which reads the
    recording once more, corrects the latents for that depth first. `advance` is told of the work
    that is left.
    """

    codec: VoiceCodec
    header: VoiceHeader
    codes: tuple[Codes, ...]
    power_db: tuple[NDArray[np.float32], ...]
    static_bits: tuple[NDArray[np.float32], ...]
    latents: tuple[Tensor, ...]
    blocks: tuple[Callable[[], Iterator[Samples]], ...]
    level: Level
    work: VoiceWork
    advance: Advance

    @classmethod
    def of(
        cls, codec: VoiceCodec, recording: OpenRecording, work: VoiceWork, advance: Advance
    ) -> VoiceEncoder:
        """Read and analyse a recording."""
        channels = recording.channels
        n_coded = coded_length(recording.n_samples, recording.sample_rate_hz)
        level = measure(blocks_at_coded_rate(recording))
        gain = gain_of(level)
        header = VoiceHeader(
            model_number=codec.card.number,
            fingerprint=codec.fingerprint,
            n_samples=recording.n_samples,
            sample_rate_hz=recording.sample_rate_hz,
            stereo=channels == 2,
            gain=gain,
            quality_centi=FINEST,
            coder=1,
            stereo_mode=level.stereo_mode,
        )
        scale = np.float32(amplitude_of(gain))
        blocks = tuple(
            functools.partial(channel_blocks, recording, channel, level, scale)
            for channel in range(channels)
        )
        code = uncoded if work.n_refinements else coded_at_full_depth
        share = _ANALYSIS_SHARE[work.n_refinements > 0]
        parts = []
        for channel, read in enumerate(blocks):
            done = part_of(advance, channel / channels * share, share / channels)
            stretches = analysed(codec, read(), n_coded, done)
            coded = (code(codec, some, work.chooses_anew) for some in stretches)
            parts.append(
                joined_parts(coded, n_frames(recording.n_samples, recording.sample_rate_hz))
            )
        codes, power, bits, latents = zip(*parts, strict=True)
        left = part_of(advance, share, 1.0 - share)
        return cls(codec, header, codes, power, bits, latents, blocks, level, work, left)

    def at_quality(self, centi: int) -> bytes:
        """Return the file at a quality in hundredths."""
        take = self._refined(centi)
        return take._at_quality(centi, take.advance)

    def _at_quality(self, centi: int, advance: Advance = silent) -> bytes:
        header = replace(self.header, quality_centi=min(centi, FINEST))
        segments = range(n_segments(header.n_samples, header.sample_rate_hz))
        return container.write(header, self._sections(segments, centi, advance))

    def at_bitrate(self, bitrate: float) -> tuple[bytes, str | None]:
        """Return the file nearest to a bitrate in kbit/s, and how it was missed, if it was."""
        to_kbps = 8.0 * self.header.sample_rate_hz / self.header.n_samples / 1000.0
        take, data = self._nearest(_around(bitrate / to_kbps, _TOLERANCE))
        if _around(bitrate / to_kbps, SIZE_TOLERANCE).holds(len(data)):
            return data, None
        asked = f"{bitrate:g} kbit/s"
        least, *_, most = (len(one) * to_kbps for one in take._reach(data))
        if least <= bitrate <= most:
            made = f"{len(data) * to_kbps:.2f}"
            return data, f"{asked} is asked for, the nearest found is {made}"
        reach = f"which takes {least:.2f} to {most:.2f}"
        return data, f"{asked} is out of reach for this recording, {reach}"

    def at_size(self, size: float) -> tuple[bytes, str | None]:
        """Return a file of at most n bytes, and how it was missed, if it is much less.

        Raises:
            UsageError: if there is no such file; the message says what sizes there are.
        """
        low = min((1 - SIZE_TOLERANCE) * size, size - SIZE_STEP + 1)
        window = Window(low, (low + size) / 2, size)
        take, data = self._nearest(window)
        if window.holds(len(data)):
            return data, None
        least, *_, most = take._reach(data)
        if not len(least) <= size <= len(most):
            reach = f"which takes {len(least)} to {len(most)}"
            raise UsageError(f"{size:.10g} bytes is out of reach for this recording, {reach}")
        kept = data if len(data) <= size else least
        return kept, f"{size:.10g} bytes is asked for, the nearest found is {len(kept)}"

    def _reach(self, data: bytes) -> list[bytes]:
        """Return a file and those at both ends of quality, the smallest first."""
        return sorted([data, *map(self._at_quality, (COARSEST, _BEYOND))], key=len)

    def _nearest(self, window: Window) -> tuple[VoiceEncoder, bytes]:
        """Return a file whose size lies in a window, or the nearest, not above it if possible.

        With it comes the take that it was made from, its latents corrected for such a size.
        """
        take = self._refined(self._centi_for(window.aim, 1.0, COARSEST, _BEYOND))
        return take, take._search(window)

    def _search(self, window: Window) -> bytes:
        low, high = COARSEST, _BEYOND
        scale, best = 1.0, b""
        n = n_segments(self.header.n_samples, self.header.sample_rate_hz)
        if n >= 2 * _SAMPLED_EVERY:
            some = range(_SAMPLED_EVERY // 2, n, _SAMPLED_EVERY)
            scale = self._sampled_scale(self._centi_for(window.aim, 1.0, low, high), some)
        done = 0.0
        for _ in range(_MAX_TRIES):
            centi = self._centi_for(window.aim, scale, low, high)
            share = _TRY_SHARE * (1.0 - done)
            data = self._at_quality(centi, part_of(self.advance, done, share))
            done += share
            miss = len(data) - window.aim
            best = min(best or data, data, key=lambda one: _fault(len(one), window))
            ends = (centi == low and miss > 0) or (centi == high and miss < 0)
            if window.holds(len(data)) or ends:
                break
            low, high = (low, centi - 1) if miss > 0 else (centi + 1, high)
            if low > high:
                break
            expected = self._expected_bytes(centi, 1.0)
            scale = _scale(len(data) - self._overhead, expected - self._overhead)
        return best

    def _sampled_scale(self, centi: int, segments: range) -> float:
        """Return what the codes of some segments take, over what they are expected to take."""
        static = 0.0
        for segment in segments:
            frames = slice(segment * SEGMENT_FRAMES, (segment + 1) * SEGMENT_FRAMES)
            static += self._static_bits(centi, frames)
        taken = sum(8.0 * len(one.payload) for one in self._sections(segments, centi))
        return _scale(taken, static * self._typical_ratio(centi))

    def _centi_for(self, n_bytes: float, scale: float, low: int, high: int) -> int:
        """Return the quality in hundredths from which on `n_bytes` are expected."""
        while low < high:
            middle = (low + high) // 2
            if self._expected_bytes(middle, scale) < n_bytes:
                low = middle + 1
            else:
                high = middle
        return low

    def _expected_bytes(self, centi: int, scale: float) -> float:
        """Return about how long a file will be, its codes `scale` times the usual."""
        return self._overhead + scale * self._typical_ratio(centi) * self._static_bits(centi) / 8.0

    def _typical_ratio(self, centi: int) -> float:
        fineness = (1.0 - centi_to_share(centi)) / 2.0
        return float(np.interp(fineness, _FINENESS, _TYPICAL_RATIOS[self.work.by_context]))

    @property
    def _overhead(self) -> int:
        n_sections = n_segments(self.header.n_samples, self.header.sample_rate_hz) * PARTS
        return _FILE_BYTES + n_sections * self.header.channels * _SECTION_BYTES

    def _static_bits(self, centi: int, frames: slice = _ALL) -> float:
        total = 0.0
        for power, bits in zip(self.power_db, self.static_bits, strict=True):
            depths = self._depths(power[frames], centi)
            total += float(bits[:, frames][np.arange(bits.shape[0])[:, None] < depths].sum())
        return total

    def _depths(self, power_db: NDArray[np.float32], centi: int) -> NDArray[np.int64]:
        return self.codec.model.depths_of_powers(power_db, centi_to_share(centi))

    def _refined(self, centi: int) -> VoiceEncoder:
        """Return the take with its latents corrected for a quality in hundredths."""
        if self.work.n_refinements == 0:
            return self
        parts = []
        for channel, power in enumerate(self.power_db):
            windows = self._windows(channel, len(power))
            refine = functools.partial(self._refined_part, channel, centi)
            n_windows = -(-len(power) // _REFINED_FRAMES)
            share = _REFINED_SHARE / len(self.power_db)
            done = part_of(self.advance, channel * share, share)
            refined = _watched(
                side_by_side(in_one_thread(refine), windows, n_windows), n_windows, done
            )
            parts.append(joined_parts(refined, len(power)))
        codes, power_db, bits, latents = zip(*parts, strict=True)
        work = replace(self.work, n_refinements=0)
        left = part_of(self.advance, _REFINED_SHARE, 1.0 - _REFINED_SHARE)
        return replace(
            self,
            codes=codes,
            power_db=power_db,
            static_bits=bits,
            latents=latents,
            work=work,
            advance=left,
        )

    def _windows(self, channel: int, total: int) -> Iterator[tuple[range, Samples]]:
        """Yield which frames are corrected together, neighbours included, and their samples."""
        halo, window = self._neighbours, SampleWindow(self.blocks[channel]())
        for start in range(0, total, _REFINED_FRAMES):
            low, high = max(start - halo, 0), min(start + _REFINED_FRAMES + halo, total)
            samples = window.cut(low * FRAME_SAMPLES, (high - 1) * FRAME_SAMPLES)
            yield range(low, high), samples.copy()

    @property
    def _neighbours(self) -> int:
        """How many frames on each side are heard when some are corrected: not all that matter."""
        return min(self.codec.model.halo, _MAX_NEIGHBOURS)

    def _refined_part(self, channel: int, centi: int, window: tuple[range, Samples]) -> Part:
        """Correct the latents of some frames, and their powers by how much they are heard.

        Neighbours are heard, but stay.
        """
        model, (frames, samples) = self.codec.model, window
        heard = slice(frames.start, frames.stop)
        power = self.power_db[channel][heard]
        refined = refined_latents(
            model,
            self.latents[channel][:, :, heard].float(),
            torch.from_numpy(samples),
            lambda heard_db: self._depths(power + HEARD_SHARE * heard_db, centi),
            self.work.n_refinements,
        )
        power = power + np.float32(HEARD_SHARE) * refined.heard_db
        depths = self._depths(power, centi)
        before = self._neighbours if frames.start else 0
        own = slice(before, before + _REFINED_FRAMES)
        coded = np.arange(refined.codes.shape[1])[:, None] < depths
        static = model.static_bits(refined.codes)
        bits = np.where(coded, static, model.expected_bits()[:, None])
        return uncoded_part(refined.latents[:, :, own], power[own], bits[:, own])

    def _source(self, channel: int, frames: slice, depths: NDArray[np.int64]) -> Source:
        """Return the source of codes of the first `depths` stages of each frame."""
        model, work = self.codec.model, self.work
        level = self.codec.context.plan[0].name
        latents = self.latents[channel][:, :, frames].float()
        if work.by_context:
            return VoiceChoice(model.vq, latents, depths).choose
        if work.beam_width > 1:
            codes: Codes = model.choose_to_depths(latents, depths, work.beam_width)
        else:
            codes = self.codes[channel][:, frames]
            codes = codes * (np.arange(len(codes))[:, None] < depths).astype(np.uint16)
        return fixed_source({level: codes[:, None, None]})

    def _sections(self, segments: range, centi: int, advance: Advance = silent) -> list[Section]:
        """Return the sections of some segments, channel after channel in each."""
        pairs = [(n, channel) for n in segments for channel in range(self.header.channels)]
        coded = side_by_side(lambda pair: self._segment(*pair, centi), pairs, len(pairs))
        watched = _watched(coded, len(pairs), advance)
        return [section for sections in watched for section in sections]

    def _segment(self, segment: int, channel: int, centi: int) -> list[Section]:
        frames = slice(segment * SEGMENT_FRAMES, (segment + 1) * SEGMENT_FRAMES)
        depths = self._depths(self.power_db[channel][frames], centi)
        encoder = CodesEncoder(self._source(channel, frames, depths), self.header.coder)
        shape = {self.codec.context.plan[0].name: (1, len(depths))}
        walk(self.codec.context, shape, centi_to_position(min(centi, FINEST)), encoder)
        coded = encoder.sections()
        return [Section(PARTS * channel + n, coded.get(n, b"")) for n in range(1, PARTS + 1)]


def _watched(items: Iterable[Item], total: int, advance: Advance) -> Iterator[Item]:
    for n, item in enumerate(items, start=1):
        yield item
        advance(n / total)


def _scale(taken: float, expected: float) -> float:
    """Return how many times the usual some codes take, within what any do: silence says nothing."""
    return min(max(taken / expected, 1.0 / 3.0), 3.0) if taken > 0.0 and expected > 0.0 else 1.0


def _fault(n_bytes: int, window: Window) -> tuple[bool, float]:
    return n_bytes > window.high, abs(n_bytes - window.aim)


def _around(aim: float, tolerance: float) -> Window:
    """Return the window around some bytes, as wide at least as the steps in which sizes come."""
    reach = max(aim * tolerance, SIZE_STEP / 2)
    return Window(aim - reach, aim, aim + reach)
