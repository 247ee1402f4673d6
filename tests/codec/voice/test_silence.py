"""Where there are no codes for half a second there is silence, however the sound is cut."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import luxvox
from luxvox.codec.quality import Quality
from luxvox.codec.voice.silence import (
    SILENT_FRAMES,
    FrameStream,
    min_silent_frames,
    noise_numbers,
    with_silence,
)
from luxvox.models.voice.pauses import Stretch


def stream(flags, width):
    pieces = [flags[start : start + width] for start in range(0, len(flags), width)]
    return FrameStream(((piece, stretch(len(piece))) for piece in pieces), len(flags))


def stretch(n_frames):
    return Stretch(torch.zeros(3, 1, n_frames), torch.full((n_frames,), -1))


def gains(flags, width=750):
    return stream(flags, width).gains(0, len(flags)).tolist()


def frames(*runs):
    """Return flags from (codes or none, how many) runs."""
    return np.concatenate([np.full(n, kind == "none") for kind, n in runs])


@pytest.mark.parametrize("width", [1, 7, 750])
def test_long_runs_are_silent_and_short_ones_are_not(width):
    flags = frames(("codes", 3), ("none", 24), ("codes", 1), ("none", 25), ("codes", 2))
    assert gains(flags, width) == [1.0] * 28 + [0.0] * 25 + [1.0] * 2


def test_frames_outside_the_recording_have_no_codes():
    flags = frames(("none", 2), ("codes", 1), ("none", 1))
    assert gains(flags) == [0.0, 0.0, 1.0, 0.0]


@pytest.mark.parametrize("cuts", [(), (1,), (320, 640), (500, 9000, 9001, 12_000)])
def test_sound_fades_within_a_frame(cuts):
    flags = frames(("codes", 5), ("none", 30), ("codes", 6))
    blocks = np.split(np.ones(320 * 40, np.float32), cuts)
    faded = np.concatenate(list(with_silence(blocks, stream(flags, 9))))
    assert (faded[: 4 * 320] == 1).all() and (faded[5 * 320 : 34 * 320] == 0).all()
    np.testing.assert_allclose(faded[4 * 320 : 5 * 320], 1 - np.arange(320) / 320, atol=1e-6)
    assert (faded[35 * 320 : 40 * 320] == 1).all()


def test_frames_come_in_their_order_after_gains_were_asked_for():
    flags = frames(("codes", 90))
    source = stream(flags, 8)
    assert source.gains(0, 30).all()
    assert sum(len(part.noise) for part in source.stretches()) == 90
    assert source.gains(89, 90).all() and not source.gains(90, 90 + SILENT_FRAMES).any()


def test_coarse_voices_are_silent_in_long_runs_only():
    flags = frames(("none", 140), ("codes", 1), ("none", 150), ("codes", 1))
    n_frames = len(flags)
    run = min_silent_frames(Quality(2000), n_frames)
    source = FrameStream([(flags, stretch(n_frames))], n_frames, run)
    assert source.gains(0, n_frames).tolist() == [1.0] * 141 + [0.0] * 150 + [1.0]


@pytest.mark.parametrize("n_frames", [3, 149, 400])
def test_a_channel_without_codes_is_silent_at_any_quality(n_frames):
    flags = np.ones(n_frames, np.bool_)
    run = min_silent_frames(Quality(2000), n_frames)
    source = FrameStream([(flags, stretch(n_frames))], n_frames, run)
    assert not source.gains(0, n_frames).any()


def test_digital_silence_between_words_stays_silent():
    t = np.arange(8000) / 16_000
    word = (0.1 * np.sin(2 * np.pi * 200 * t) * np.sin(2 * np.pi * t) ** 2).astype(np.float32)
    word -= word.mean()
    samples = np.concatenate([word, np.zeros(24_000, np.float32), word])
    data = luxvox.compress_speech(samples, 16_000, quality=40, effort=1)
    decoded = luxvox.decompress_speech(data)[0]
    assert np.abs(decoded[12_000:28_000]).max() < 1e-3 * np.abs(word).max()


def test_frames_with_few_codes_become_noise_in_fine_voices():
    codes = np.array([[0, 5, 5, 5], [0, 0, 5, 5], [0, 0, 0, 5]], np.uint16)
    assert noise_numbers(codes, Quality(3500), 0).tolist() == [0, 1, 2, -1]
    for quality in (Quality(3499), None):
        assert noise_numbers(codes, quality, 0).tolist() == [0, -1, -1, -1]


def test_noise_is_numbered_within_segments_and_differs_for_side():
    codes = np.zeros((3, 4), np.uint16)
    assert noise_numbers(codes, None, 748).tolist() == [748, 749, 0, 1]
    assert noise_numbers(codes, None, 748, is_side=True).tolist() == [1498, 1499, 750, 751]
