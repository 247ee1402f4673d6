"""Train a tiny transformer on the codes of voices for two minutes, and listen to what it says.

    luxvox compress voices/ -r -o voices_lvx/
    python examples/train_on_tokens.py voices_lvx/ --minutes 2 --out sampled.wav

A voice is laid out frame by frame, coarse stages first (`tokens.flatten_voice`). Only the first few
of its stages are learned, since they carry most of the sound; `luxvox.from_codes` takes them as
they are. The model is a decoder of four layers (A. Vaswani et al., "Attention is all you need",
2017) that predicts each token from the 256 before it. The last tenth of every voice is held back:
what it costs in bits a token says how much was learned. A model that knows nothing pays ten bits;
one that only counts how often each token occurs pays what is printed first.
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

import luxvox
from luxvox import tokens

CONTEXT = 256  # tokens that the model sees
BATCH = 16
LEARNING_RATE = 2e-3
HELD_BACK = 0.1  # of every voice, its end
TEMPERATURE, TOP_CODES = 0.9, 64
REPORT_EVERY_S = 10.0


@dataclass(frozen=True)
class Vocabulary:
    """What the model needs to know about the codes, from `luxvox.tokens.vocabulary`.

    Attributes:
        n_stages: how many of a frame's stages are learned.
        codes: codewords of a stage.
        frames_per_second: of a voice.
        sample_rate_hz: of what `luxvox.from_codes` returns.
    """

    n_stages: int
    codes: int
    frames_per_second: float
    sample_rate_hz: int

    @classmethod
    def of_voices(cls, n_stages: int) -> Vocabulary:
        """Read the vocabulary card; raises ValueError if voices have fewer stages."""
        card = tokens.vocabulary("voice")
        if not 1 <= n_stages <= card["stages"]:
            raise ValueError(f"{n_stages} stages, legal: 1..{card['stages']}")
        size, rate = card["size_of_a_stage"], card["frames_per_second"]
        return cls(n_stages, size, rate, card["sample_rate_hz"])


class Block(nn.Module):
    """Attention to the past, then a network for each token alone; norms come first."""

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.project = nn.Linear(width, 3 * width)
        self.merge = nn.Linear(width, width)
        self.alone = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, T, width] to [B, T, width]."""
        batch, length, width = x.shape

        # [B, T, 3 * width] -> three of [B, heads, T, width / heads]
        heads = self.project(self.norms[0](x)).view(batch, length, 3, self.n_heads, -1)
        query, key, value = heads.permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(query, key, value, is_causal=True)

        # [B, heads, T, width / heads] -> [B, T, width]
        x = x + self.merge(seen.transpose(1, 2).reshape(batch, length, width))
        changed: Tensor = x + self.alone(self.norms[1](x))
        return changed


class TokenModel(nn.Module):
    """A small decoder of tokens; the stage of the next token is known, so it chooses a code.

    Args:
        vocabulary: of the voices.
        width, n_layers, n_heads: of the network.
    """

    def __init__(
        self, vocabulary: Vocabulary, *, width: int = 192, n_layers: int = 4, n_heads: int = 6
    ) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        n_tokens = vocabulary.n_stages * vocabulary.codes
        self.embedding = nn.Embedding(n_tokens, width)
        self.position = nn.Parameter(torch.zeros(CONTEXT, width))
        self.blocks = nn.Sequential(*(Block(width, n_heads) for _ in range(n_layers)))
        self.norm = nn.LayerNorm(width)
        nn.init.normal_(self.embedding.weight, std=0.02)

    def forward(self, sequence: Tensor) -> Tensor:
        """Return logits [B, T, codes] of the code after each token of whole numbers [B, T]."""
        x = self.embedding(sequence) + self.position[: sequence.shape[1]]
        x = self.norm(self.blocks(x))  # [B, T, width]

        # Logits are products with the embeddings of the next token's stage.
        stages, codes = self.vocabulary.n_stages, self.vocabulary.codes
        table = self.embedding.weight.view(stages, codes, -1)
        following = (sequence // codes + 1) % stages  # [B, T]
        logits: Tensor = x.new_empty(*sequence.shape, codes)
        for stage in range(stages):
            is_stage = following == stage
            logits[is_stage] = x[is_stage] @ table[stage].T
        return logits


def read_voices(folder: Path, vocabulary: Vocabulary) -> list[Tensor]:
    """Return the tokens of each voice in a folder, int64 [frames × stages]; of stereo its mid."""

    def flatten(codes: NDArray[Any]) -> NDArray[np.int64]:
        mono = codes if codes.ndim == 2 else codes[0]
        return tokens.flatten_voice(mono[: vocabulary.n_stages])

    data = tokens.CodeDataset(folder, transform=flatten)
    return [torch.from_numpy(data[number]) for number in range(len(data))]


def split(voices: Sequence[Tensor], n_stages: int) -> tuple[Tensor, Tensor]:
    """Join voices to what is learned from and what is held back, cut between frames.

    Raises:
        ValueError: if one of them is shorter than the model's context.
    """
    ends = [round((1.0 - HELD_BACK) * len(voice) / n_stages) * n_stages for voice in voices]
    training = torch.cat([voice[:end] for voice, end in zip(voices, ends, strict=True)])
    held_back = torch.cat([voice[end:] for voice, end in zip(voices, ends, strict=True)])
    if min(len(training), len(held_back)) <= CONTEXT:
        raise ValueError(f"{len(held_back)} tokens are held back, legal: more than {CONTEXT}")
    return training, held_back


def loss_of(model: TokenModel, sequence: Tensor, starts: Tensor) -> Tensor:
    """Return the mean cost in nats of the tokens in windows that begin at some places."""
    windows = sequence[starts[:, None] + torch.arange(CONTEXT + 1)]  # [B, CONTEXT + 1]
    codes = windows[:, 1:] % model.vocabulary.codes
    return F.cross_entropy(model(windows[:, :-1]).flatten(0, 1), codes.flatten())


@torch.no_grad()
def bits_per_token(model: TokenModel, sequence: Tensor) -> float:
    """Measure what held-back tokens cost, over at most 32 windows that are spread evenly."""
    n_windows = min(32, (len(sequence) - 1) // CONTEXT)
    last = len(sequence) - CONTEXT - 1
    starts = torch.linspace(0, last, n_windows).round().long()
    return float(loss_of(model, sequence, starts)) / math.log(2.0)


def bits_by_counts(training: Tensor, held_back: Tensor, vocabulary: Vocabulary) -> float:
    """Measure what held-back tokens cost where only the frequencies of codes are known."""
    n_tokens = vocabulary.n_stages * vocabulary.codes
    counts = 1.0 + torch.bincount(training, minlength=n_tokens)
    shares = counts.view(vocabulary.n_stages, vocabulary.codes)  # [stages, codes]
    bits = -torch.log2(shares / shares.sum(1, keepdim=True)).flatten()
    return float(bits[held_back].mean())


def train(
    model: TokenModel, training: Tensor, held_back: Tensor, minutes: float, max_steps: int | None
) -> int:
    """Train for some minutes, or some steps if these come first; return the steps."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.1)
    begin = reported = time.monotonic()
    for step in itertools.count():
        share = (time.monotonic() - begin) / (60.0 * minutes)
        if share >= 1.0 or step == max_steps:
            return step

        # The rate falls to nothing at the end, along half a cosine.
        for group in optimiser.param_groups:
            group["lr"] = LEARNING_RATE * 0.5 * (1.0 + math.cos(math.pi * share))
        starts = torch.randint(len(training) - CONTEXT, (BATCH,))
        loss = loss_of(model, training, starts)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()

        if time.monotonic() - reported > REPORT_EVERY_S:
            reported = time.monotonic()
            bits = bits_per_token(model, held_back)
            print(f"step {step + 1}: {bits:.2f} bits a token held back", file=sys.stderr)
    raise AssertionError("unreachable")


@torch.no_grad()
def sample(model: TokenModel, prompt: Tensor, n_frames: int) -> Tensor:
    """Go on from whole frames of tokens [T] for some frames; return all of them, int64 [T + …].

    A null code ends its frame: the stages after it are null, too.
    """
    vocabulary = model.vocabulary
    sequence, is_ended = prompt, False
    for position in range(n_frames * vocabulary.n_stages):
        stage = position % vocabulary.n_stages
        is_ended = is_ended and stage > 0
        logits = model(sequence[None, -CONTEXT:])[0, -1]
        best = torch.topk(logits / TEMPERATURE, min(TOP_CODES, vocabulary.codes))
        chosen = best.indices[torch.multinomial(best.values.softmax(0), 1)]
        code = torch.zeros(1, dtype=torch.int64) if is_ended else chosen
        is_ended = is_ended or int(code) == 0
        sequence = torch.cat([sequence, code + stage * vocabulary.codes])
    return sequence


def main(words: Sequence[str] | None = None) -> None:
    """Train, sample, and write what was sampled as a recording."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="folder of compressed voices, .lvx")
    parser.add_argument("--out", type=Path, default=Path("sampled.wav"), help="recording to write")
    parser.add_argument("--minutes", type=float, default=2.0, help="how long to train")
    parser.add_argument("--steps", type=int, help="train at most this many steps")
    parser.add_argument("--stages", type=int, default=6, help="stages of a frame to learn")
    parser.add_argument("--seconds", type=float, default=4.0, help="how long to go on")
    options = parser.parse_args(words)

    torch.manual_seed(0)
    vocabulary = Vocabulary.of_voices(options.stages)
    voices = read_voices(options.folder, vocabulary)
    training, held_back = split(voices, vocabulary.n_stages)
    model = TokenModel(vocabulary)
    print(f"{len(voices)} voices, {len(training)} tokens to learn from", file=sys.stderr)
    by_counts = bits_by_counts(training, held_back, vocabulary)
    print(f"{by_counts:.2f} bits a token held back by their counts alone", file=sys.stderr)

    steps = train(model, training, held_back, options.minutes, options.steps)
    bits = bits_per_token(model, held_back)
    print(f"{steps} steps: {bits:.2f} bits a token held back", file=sys.stderr)

    # The prompt is the first second of a voice.
    prompt = voices[0][: round(vocabulary.frames_per_second) * vocabulary.n_stages]
    n_frames = round(options.seconds * vocabulary.frames_per_second)
    sequence = sample(model, prompt, n_frames)
    codes = tokens.unflatten_voice(sequence.numpy(), vocabulary.n_stages)
    soundfile.write(options.out, luxvox.from_codes(codes), vocabulary.sample_rate_hz)
    print(f"wrote {options.out}: a second of a voice, and how it went on", file=sys.stderr)


if __name__ == "__main__":
    main()
