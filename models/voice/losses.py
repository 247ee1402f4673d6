"""The distances between a decoded voice and the recording that training and correction minimise.

They compare short-time spectra, loudness and envelopes.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from luxvox.models.voice.distance_weights import FOR_TRAINING
from luxvox.models.voice.loudness import REFERENCE
from luxvox.models.voice.power_spectrum import PowerSpectrum
from luxvox.timeline import CODED_RATE_HZ

HOPS = {128: 64, 320: 160, 640: 160, 1280: 640}
WINDOW = 640  # of the texture and of the envelopes
POWER_FLOOR = 1e-6
N_MELS = {320: 20, 640: 80}  # by window length
MEL_FLOOR = 10.0**-5.5  # of the loudest band of a voice
TEXTURE_POWER = 0.15  # of the power: magnitude to the power 0.3
TEXTURE_SPAN, TEXTURE_STRIDE = (3, 9), (1, 3)  # bins, frames

N_THIRDS, LOWEST_THIRD_HZ = 15, 150.0
STOI_FRAMES, STOI_STRIDE = 38, 6  # of 10 ms
STOI_CLIP = 1.0 + 10.0 ** (15.0 / 20.0)
STOI_SILENCE = 1e-4  # of the loudest stretch

# Loudness and its disturbance as in ITU-T P.862, powers in units of 0 dB SPL.
LOUDNESS_WINDOW = 512
N_BARKS = 42  # half a Bark each
BARK_WIDTH = 0.5
HEARD_POWER = 2.1e8  # per Bark, of an RMS of 0.1 in all bands together
ZWICKER_POWER = 0.23
LOUDNESS_SCALE = 0.1866
MASKED_SHARE = 0.25
AUDIBLE_POWER = 50.0
AVERAGE_FLOOR = 1e3  # of a band over a long time
ASYMMETRY_POWER = 1.2
ASYMMETRY_RANGE = (3.0, 12.0)
SYMMETRIC_WEIGHT, ASYMMETRIC_WEIGHT = 0.1, 0.0309
LEVEL_BANDS = slice(7, 32)  # 300 to 3250 Hz
SYLLABLE_FRAMES, SYLLABLE_HOP, SYLLABLE_POWER = 20, 10, 6


@dataclass(frozen=True)
class Spectra:
    """Short-time spectra of samples [B, T] that the distances share, and derived quantities.

    Attributes:
        powers: [B, bins, frames] by window length.
        barks: powers [B, 42, frames] of bands of half a Bark, in units of 0 dB SPL.
    """

    powers: Mapping[int, Tensor]
    barks: Tensor

    @functools.cached_property
    def magnitudes(self) -> dict[int, Tensor]:
        """|X|^½ [B, bins, frames] by window length."""
        # The floor grows with the window, as powers do; it keeps the slope of roots finite.
        floored = {w: power + POWER_FLOOR * power.shape[1] for w, power in self.powers.items()}
        return {w: power.sqrt().sqrt() for w, power in floored.items()}

    @functools.cached_property
    def mels(self) -> dict[int, Tensor]:
        """Powers of mel bands [B, mels, frames] by window length."""
        return {w: _mel(self.powers[w]) for w in N_MELS}

    @functools.cached_property
    def texture(self) -> Tensor:
        """Smoothed and compressed powers [B, 1, bins, frames]."""
        # [B, bins, frames] -> [B, 1, bins − 2, (frames − 9) // 3 + 1]
        power = self.powers[WINDOW]
        smooth = functional.avg_pool2d(power[:, None], TEXTURE_SPAN, stride=TEXTURE_STRIDE)
        return (smooth + POWER_FLOOR * power.shape[1]).pow(TEXTURE_POWER)

    @functools.cached_property
    def third_octaves(self) -> Tensor:
        """Magnitudes of thirds of octaves over 0.4 s [B, 15, segments, 38]."""
        # [B, bins, frames] -> [B, 15, frames] -> [B, 15, segments, 38]
        bands = _third_octaves().to(self.barks.device)
        power = torch.einsum("mf,bft->bmt", bands, self.powers[WINDOW])
        return power.clamp(min=1e-6).sqrt().unfold(2, STOI_FRAMES, STOI_STRIDE)


def spectra(samples: Tensor) -> Spectra:
    """Return the spectra of samples [B, T]."""
    powers = {w: _powers(samples, w, hop) for w, hop in HOPS.items()}
    return Spectra(powers, _bark_powers(samples))


def distortions(
    decoded: Spectra, original: Spectra, weights: Mapping[str, float] = FOR_TRAINING
) -> tuple[Tensor, dict[str, float]]:
    """Return the weighted distance of decoded voices from recordings, and its parts, unweighted.

    Args:
        decoded, original: spectra of the voices.
        weights: of each part.
    """
    pair = decoded, original
    parts = {
        "magnitude": magnitude_distance(*pair),
        **{f"mel_{window}": mel_distance(*pair, window) for window in N_MELS},
        "texture": texture_distance(*pair),
        "timbre": timbre_distance(*pair),
        "intelligibility": intelligibility_distance(*pair),
        "loudness": loudness_distance(*pair),
    }
    total = torch.stack([weights[name] * value for name, value in parts.items()]).sum()
    return total, {name: value.item() for name, value in parts.items()}


def magnitude_distance(decoded: Spectra, original: Spectra) -> Tensor:
    """Return the squared difference of |X|^½ at four window lengths, relative."""
    # Short windows show when a sound begins, long ones which harmonics it has.
    total = torch.zeros(())
    for window in HOPS:
        magnitude, target = (x.magnitudes[window] for x in (decoded, original))
        total = total + (magnitude - target).square().mean() / target.square().mean()
    return total / len(HOPS)


def mel_distance(decoded: Spectra, original: Spectra, window: int) -> Tensor:
    """Return the mean difference in bels of the powers of mel bands.

    Down to 55 dB below the loudest band of each voice. The logarithm gives consonants as much
    weight as vowels; a distance relative to total power would neglect them.
    """
    power, target = (x.mels[window] for x in (decoded, original))

    # [B, mels, frames] -> [B, 1, 1]: the floor of a voice follows its loudest band.
    floor = MEL_FLOOR * target.amax((1, 2), keepdim=True) + POWER_FLOOR
    return torch.log10((power + floor) / (target + floor)).abs().mean()


def texture_distance(decoded: Spectra, original: Spectra) -> Tensor:
    """Return the relative distance of fine-grained spectra, 0 or more.

    Squared difference of powers to the power 0.15, averaged over 3 bins (75 Hz) and 9 frames (0.1
    s). The bands of loudness are wide at high frequencies, and would accept a few tones instead of
    noise.
    """
    target = original.texture
    return (decoded.texture - target).square().mean() / target.square().mean()


def loudness_distance(decoded: Spectra, original: Spectra) -> Tensor:
    """Return how different two voices sound, about 4.5 minus their raw PESQ score.

    The disturbances of ITU-T P.862 (Rix et al., 2001) without its alignment in time and with bands
    of half a Bark: unmasked differences of loudness, after compensation for level, linear filtering
    and gain; added sound counts once more. Samples at an RMS of 0.1 are played at the
    standard's level.
    """
    threshold = _thresholds().to(decoded.barks.device)[None, :, None]  # [42] -> [1, 42, 1]
    added = _level_to(decoded.barks, original.barks)
    reference = original.barks

    # A filter is compensated in the original: one factor per band, [B, 42, F] -> [B, 42, 1].
    average, target = (x.mean(2, keepdim=True) for x in (added, reference))
    filtered = (average + AVERAGE_FLOOR) / (target + AVERAGE_FLOOR)
    reference = reference * filtered.clamp(0.01, 100.0)

    # A gain is compensated in the decoded voice: one factor per frame, smoothed, [B, 1, F].
    frame_power = _audible(reference, threshold)
    gain = (frame_power + 5e3) / (_audible(added, threshold) + 5e3)
    before = functional.pad(gain, (1, 0), mode="replicate")[:, :, :-1]
    added = added * (0.8 * gain + 0.2 * before).clamp(3e-4, 5.0)
    symmetric, asymmetric = _disturbances(added, reference, threshold)

    # Disturbances are less audible in loud frames: [B, 1, F] -> [B, F].
    weight = ((frame_power[:, 0] + 1e5) / 1e7).pow(-0.04)
    total = SYMMETRIC_WEIGHT * _overall(symmetric * weight)
    return total + ASYMMETRIC_WEIGHT * _overall(asymmetric * weight)


def _disturbances(decoded: Tensor, original: Tensor, threshold: Tensor) -> tuple[Tensor, Tensor]:
    """Return the disturbances of frames [B, F] by all differences, and by added sound.

    Args:
        decoded, original: compensated powers [B, 42, F] of the voices.
        threshold: of hearing [1, 42, 1].
    """
    # Differences within a share of the softer sound are masked.
    loudness, target = (_loudness(p, threshold) for p in (decoded, original))
    masked = MASKED_SHARE * torch.minimum(loudness, target)
    difference = functional.relu((loudness - target).abs() - masked)

    # Added sound has a ratio above 1, which counts within a range.
    ratio = ((decoded + AUDIBLE_POWER) / (original + AUDIBLE_POWER)).pow(ASYMMETRY_POWER)
    low, high = ASYMMETRY_RANGE
    asymmetry = torch.where(ratio < low, 0.0, ratio.clamp(max=high))

    # [B, 42, F] -> [B, F]
    width = BARK_WIDTH * N_BARKS
    symmetric = width * (difference.square().mean(1) + 1e-6).sqrt()
    asymmetric = width * (difference * asymmetry).mean(1)
    return symmetric, asymmetric


def timbre_distance(decoded: Spectra, original: Spectra) -> Tensor:
    """Return the mean square, over bands of half a Bark, of long-term level differences in bels.

    `loudness_distance` forgives a gain and a filter, as its standard does; listeners do not.
    """
    # [B, 42, F] -> [B, 42]
    power, target = (x.barks.mean(2) + AVERAGE_FLOOR for x in (decoded, original))
    return torch.log10(power / target).square().mean()


def intelligibility_distance(decoded: Spectra, original: Spectra) -> Tensor:
    """Return one minus the short-time objective intelligibility, approximately: 0 or more.

    As in Taal et al. (2011): correlation of the envelopes of 15 third octaves over 0.4 s, where the
    decoded ones are scaled to the energy of the originals and clipped at an SDR of −15 dB. Here the
    rate is 16 kHz and the window 40 ms, and silence counts little instead of being cut out.
    """
    # Envelopes [B, 15, segments, 38], energies [B, 15, segments, 1].
    part, target = (x.third_octaves for x in (decoded, original))
    energy = target.square().sum(3, keepdim=True)

    # Clipping limits the influence of one bad frame on the correlation of a stretch.
    scaled = part * (energy / part.square().sum(3, keepdim=True)).sqrt()
    clipped = torch.minimum(scaled, target * STOI_CLIP)

    # [B, 15, segments, 38] -> [B, 15, segments]; the small term is for bands that do not vary.
    ours, theirs = (x - x.mean(3, keepdim=True) for x in (clipped, target))
    norms = ours.square().sum(3) * theirs.square().sum(3)
    correlation = (ours * theirs).sum(3) / (norms + 1e-10 * energy[..., 0].square()).sqrt()

    # [B, 15, segments, 1] -> [B, segments]: stretches with speech share the weight.
    stretch = energy.sum((1, 3))
    weight = stretch > STOI_SILENCE * stretch.amax(1, keepdim=True)
    heard = weight.float() / weight.sum(1, keepdim=True)
    return 1.0 - (correlation.mean(1) * heard).sum(1).mean()


def _overall(disturbance: Tensor) -> Tensor:
    """Average the disturbances of frames [B, F]: the worst of each syllable, then all syllables."""
    frames = (disturbance + 1e-3).clamp(max=45.0)

    # [B, F] -> [B, syllables, 20] -> [B, syllables]: a 6-norm, which the worst frames dominate.
    syllables = frames.unfold(1, SYLLABLE_FRAMES, SYLLABLE_HOP).pow(SYLLABLE_POWER).mean(2)
    worst = syllables.pow(1.0 / SYLLABLE_POWER)
    return worst.square().mean(1).sqrt().mean()


def _level_to(powers: Tensor, target: Tensor) -> Tensor:
    """Bring powers [B, 42, F] to the level of a target in the speech band.

    Otherwise a soft voice would have less disturbance, and training would make voices soft.
    """
    # [B, 42, F] -> [B, 1, 1]
    level, reference = (
        x[:, LEVEL_BANDS].mean(dim=(1, 2), keepdim=True) + AVERAGE_FLOOR for x in (powers, target)
    )
    return powers * (reference / level)


def _audible(powers: Tensor, threshold: Tensor) -> Tensor:
    return (powers * (powers > threshold)).sum(1, keepdim=True)  # [B, 42, F] -> [B, 1, F]


def _bark_powers(samples: Tensor) -> Tensor:
    """Return powers [B, 42, F] of half Barks of samples [B, T], in units of 0 dB SPL."""
    powers = _powers(samples, LOUDNESS_WINDOW, LOUDNESS_WINDOW // 2)

    # Bins of an RMS of r add up to r² · 512 / 2 · Σ w² (Parseval); w² of a Hann window is 0.375.
    window_energy = 0.375 * LOUDNESS_WINDOW
    scale = HEARD_POWER / (REFERENCE**2 * LOUDNESS_WINDOW / 2 * window_energy)

    bands = _bark_bands().to(samples.device)
    return scale * torch.einsum("mf,bft->bmt", bands, powers)


def _loudness(powers: Tensor, threshold: Tensor) -> Tensor:
    """Return the loudness of powers [B, 42, F] by Zwicker's law, zero below the threshold."""
    compressed = (0.5 + 0.5 * powers / threshold).pow(ZWICKER_POWER) - 1.0
    loudness = LOUDNESS_SCALE * (threshold / 0.5).pow(ZWICKER_POWER) * compressed

    return functional.relu(loudness)


def _powers(samples: Tensor, window: int, hop: int) -> Tensor:
    """Return |X|² [B, bins, frames] of samples [B, T] in overlapping Hann windows."""
    powers: Tensor = PowerSpectrum.apply(samples, window, hop)  # type: ignore[no-untyped-call]
    return powers.transpose(1, 2)  # [B, frames, bins] -> [B, bins, frames]


def _mel(power: Tensor) -> Tensor:
    bands = _mel_bands(power.shape[1]).to(power.device)
    return torch.einsum("mf,bft->bmt", bands, power)  # [B, mels, frames]


@functools.lru_cache(maxsize=1)
def _bark_bands() -> Tensor:
    """Return which bins [42, 257] belong to which half Bark."""
    barks = _barks(_hertz(LOUDNESS_WINDOW))
    share = (barks - barks[0]) / (barks[-1] - barks[0])
    bands = (share * N_BARKS).long().clamp(max=N_BARKS - 1)
    return functional.one_hot(bands, N_BARKS).T.float()  # [257] -> [257, 42] -> [42, 257]


@functools.lru_cache(maxsize=1)
def _third_octaves() -> Tensor:
    """Return which bins [15, 321] belong to which third of an octave from 150 Hz on."""
    hertz = _hertz(WINDOW)
    thirds = torch.arange(N_THIRDS, dtype=torch.float32) / 3.0
    centres = LOWEST_THIRD_HZ * torch.exp2(thirds)[:, None]  # [15] -> [15, 1]

    # A band reaches a sixth of an octave to either side: [15, 1] and [321] -> [15, 321].
    low = centres * 2.0 ** (-1.0 / 6.0)
    high = centres * 2.0 ** (1.0 / 6.0)
    inside: Tensor = (hertz >= low) & (hertz < high)
    return inside.float()


@functools.lru_cache(maxsize=1)
def _thresholds() -> Tensor:
    """Return the powers [42] that are just audible (Terhardt, 1979)."""
    kilohertz = (_hertz(LOUDNESS_WINDOW) / 1000.0).clamp(min=0.04)
    decibels = 3.64 * kilohertz.pow(-0.8) + 1e-3 * kilohertz.pow(4)
    decibels = decibels - 6.5 * torch.exp(-0.6 * (kilohertz - 3.3).square())

    # [257] -> [42]: the mean of the bins of each band.
    bands = _bark_bands()
    of_bands = (bands @ decibels) / bands.sum(1).clamp(min=1.0)
    return torch.pow(10.0, of_bands.clamp(max=80.0) / 10.0)


def _hertz(window: int) -> Tensor:
    """Return the frequencies of the bins of a window."""
    return torch.linspace(0.0, CODED_RATE_HZ / 2, window // 2 + 1, dtype=torch.float32)


def _barks(hertz: Tensor) -> Tensor:
    """Map frequencies to the Bark scale (Traunmüller, 1990)."""
    return 26.81 * hertz / (1960.0 + hertz) - 0.53


@functools.lru_cache(maxsize=4)
def _mel_bands(n_bins: int) -> Tensor:
    """Return triangular bands [mels, n_bins] that sum to 1, evenly spaced in mel to 8 kHz."""
    low, high = (2595.0 * math.log10(1.0 + f / 700.0) for f in (60.0, CODED_RATE_HZ / 2))
    window = 2 * (n_bins - 1)
    n_mels = N_MELS[window]
    mels = torch.linspace(low, high, n_mels + 2, dtype=torch.float32)
    edges = 700.0 * (10.0 ** (mels / 2595.0) - 1.0)

    # A band rises from the previous edge to its middle, and falls to the next: [mels, n_bins].
    hertz = _hertz(window)
    rise = (hertz - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - hertz) / (edges[2:] - edges[1:-1])[:, None]
    bands = torch.minimum(rise, fall).clamp(min=0.0)
    return bands / bands.sum(1, keepdim=True).clamp(min=1e-6)
