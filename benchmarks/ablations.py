"""Train the picture codec briefly with one part of its design left out, and compare.

Every variant starts from untrained networks and takes the same number of steps with the same crops,
all parts learning together, half of the crops tuned for each. What is compared is the middle of 12
pictures that no phase learns from, rounded with a small dead zone; bits are those of the context
model in training, which files come close to.

    python benchmarks/ablations.py image-train image-train-camera

Variants that stand in `docs/results/ablations.csv` with these settings are not trained again.
"""

from __future__ import annotations

import contextlib
import csv
import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import click
import torch
from torch import Tensor, nn

from luxvox.benchmarks.origin import repeat_command
from luxvox.evaluate.report.pages import splice, table
from luxvox.evaluate.report.wording import format_signed
from luxvox.evaluate.timing import machine
from luxvox.models.picture import transform
from luxvox.models.picture.conditions import PictureConfig
from luxvox.models.picture.networks import PictureModel, Synthesis
from luxvox.models.training.picture import initialise, joint
from luxvox.models.training.picture.crops import PhaseSettings
from luxvox.models.training.picture.data import Pictures, to_units
from luxvox.models.training.picture.joint import JointPhase
from luxvox.models.training.picture.parts import PictureParts
from luxvox.models.training.picture.train import PictureRecipe
from luxvox.models.training.picture.twin import LevelTwin

DOCS = Path(__file__).resolve().parent.parent / "docs"
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
ROWS = "ablations.csv"
WHOLE = "as it is"
WARM_UP_STEPS = 50
MAX_GRADIENT_NORM = 1.0
FIGURES = tuple(
    f"{tuned}_{figure}_{step}"
    for tuned, quality in (("psnr", "psnr"), ("eye", "structure"))
    for step in (20, 60)
    for figure in ("bpp", quality)
)
COLUMNS = ("variant", "steps", "crop", *FIGURES)

Row = dict[str, str]


@dataclass(frozen=True)
class Variant:
    """A design with one part left out.

    Attributes:
        says: what is different.
        patch: puts the difference in place while the networks are made and trained.
        change: changes the untrained networks.
    """

    says: str
    patch: Callable[[], AbstractContextManager[object]] = nullcontext
    change: Callable[[PictureModel], None] = lambda _: None


def _freeze_analysis(model: PictureModel) -> None:
    model.analysis.requires_grad_(False)


def _leave_out_last_haar_step(model: PictureModel) -> None:
    """Put the same coefficients on the grid of stride 64 without mixing them."""
    down, up = model.analysis.down[0], model.synthesis.up[0]
    assert isinstance(down, nn.Conv2d)
    assert isinstance(up, nn.Conv2d)
    n_passed = model.config.passed[0]
    n = 4 * n_passed
    with torch.no_grad():
        down.weight[:n, :n_passed] = torch.eye(n).reshape(n, n_passed, 2, 2)
        up.weight[:n, :n, 0, 0] = torch.eye(n)


def _dct_kernels() -> tuple[Tensor, Tensor]:
    """Return kernels [8 x 16] of a plain 8×8 DCT."""
    kernel = nn.functional.pad(transform.dct_matrix(), (4, 4))
    return kernel, kernel


@contextlib.contextmanager
def _without_overlap() -> Iterator[None]:
    with ExitStack() as stack:
        for module in (transform, initialise):
            stack.enter_context(mock.patch.object(module, "lapped_kernels", _dct_kernels))
        yield


def _without_means() -> AbstractContextManager[object]:
    predict = LevelTwin.predict

    def predict_scale(twin: LevelTwin, *inputs: object) -> tuple[Tensor, Tensor]:
        mean, scale = predict(twin, *inputs)  # type: ignore[arg-type]
        return torch.zeros_like(mean), scale

    return mock.patch.object(LevelTwin, "predict", predict_scale)


def _without_step_maps() -> AbstractContextManager[object]:
    return mock.patch.object(
        Synthesis, "step_factors", lambda _self, _level, _features, at: torch.ones_like(at.gain)
    )


VARIANTS = (
    Variant(WHOLE),
    Variant("a DCT of 8×8 blocks as the start, not the lapped transform", _without_overlap),
    Variant("no Haar step to stride 64", change=_leave_out_last_haar_step),
    Variant("an analysis that does not learn", change=_freeze_analysis),
    Variant("no predicted means, only scales", _without_means),
    Variant("no local factors on steps", _without_step_maps),
    Variant(
        "no structure in the loss for the eye",
        lambda: mock.patch.object(joint, "STRUCTURE_SHARE", 0.0),
    ),
)


@click.command()
@click.argument("folders", nargs=-1, required=True, type=FOLDER)
@click.option("--steps", default=1500, show_default=True, type=click.IntRange(1))
@click.option("--crop", default=128, show_default=True, type=click.IntRange(64))
@click.option("--docs", default=DOCS, type=FOLDER)
def main(folders: tuple[Path, ...], steps: int, crop: int, docs: Path) -> None:
    """Train every variant on the pictures of FOLDERS, and write a table into docs/results.md."""
    data = Pictures(folders).split(PictureRecipe().held_back)
    path = docs / "results" / ROWS
    rows = _read(path, steps, crop)
    for variant in VARIANTS:
        if variant.says in rows:
            continue
        start_s = time.monotonic()
        figures = train_variant(variant, data, steps, PhaseSettings(crop=crop))
        seconds = time.monotonic() - start_s
        click.echo(f"{variant.says}: {seconds:.0f} s, {figures}", err=True)
        row = {"variant": variant.says, "steps": str(steps), "crop": str(crop)}
        rows[variant.says] = row | {key: f"{figures[key]:.6g}" for key in FIGURES}
        _write(path, rows)
    splice(docs / "results.md", "ablations", _page(rows, steps, crop))


def train_variant(
    variant: Variant, data: tuple[Pictures, Pictures], steps: int, settings: PhaseSettings
) -> dict[str, float]:
    """Train a variant from untrained networks, and measure it on what is held back."""
    with variant.patch():
        pictures = [to_units(picture) for picture in data[0].pictures]
        torch.manual_seed(0)
        model = initialise.untrained_model(pictures, PictureConfig())
        variant.change(model)
        phase = JointPhase(PictureParts(model), data, settings)
        _train(phase, steps)
        return phase.validate(Path())


def _train(phase: JointPhase, steps: int) -> None:
    """Take steps of Adam, the learning rate falling like half a cosine."""
    named = [(n, p) for n, p in phase.trained_module().named_parameters() if p.requires_grad]
    groups = [{"params": [p], "factor": phase.learning_rate_factor(name)} for name, p in named]
    optimiser = torch.optim.Adam(groups, lr=phase.learning_rate, betas=(0.9, 0.99), fused=True)
    for step in range(steps):
        rate = min(1.0, (step + 1) / WARM_UP_STEPS) * (1.0 + math.cos(math.pi * step / steps)) / 2.0
        for group in optimiser.param_groups:
            group["lr"] = phase.learning_rate * rate * group["factor"]
        loss, _ = phase.loss(torch.Generator().manual_seed(step))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_([p for _, p in named], MAX_GRADIENT_NORM)
        optimiser.step()


def _read(path: Path, steps: int, crop: int) -> dict[str, Row]:
    """Return the rows of earlier runs with these settings, by variant."""
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {
        row["variant"]: row
        for row in rows
        if (row["steps"], row["crop"]) == (str(steps), str(crop))
    }


def _write(path: Path, rows: dict[str, Row]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows.values())


def _page(rows: dict[str, Row], steps: int, crop: int) -> str:
    whole = rows[WHOLE]
    cells = [
        [says, *(_difference(whole, row, tuned, kind) for tuned, kind in _MEASURES)]
        for says, row in rows.items()
        if says != WHOLE
    ]
    head = ("left out", "bits at equal PSNR, tuned for it", "at equal structure, tuned for the eye")
    pixels = steps * PhaseSettings().batch * crop * crop / 1e6
    origin = (
        f"`{repeat_command()}`: {steps} steps of {PhaseSettings().batch} crops of {crop}² "
        f"({pixels:.0f} megapixels) from untrained networks, {machine()}. Rows: "
        f"[{ROWS}](results/{ROWS})."
    )
    return f"{origin}\n\n{table(head, cells)}"


_MEASURES = (("psnr", "psnr"), ("eye", "structure"))


def _difference(whole: Row, row: Row, tuned: str, kind: str) -> str:
    """Return how many more bits a variant takes at the same quality, in percent, as a mean."""
    # Between the two steps, and a little beyond, bits fall evenly with quality in logarithms.
    (x, y), (x_row, y_row) = (_line(which, tuned, kind) for which in (whole, row))
    slope = (y[1] - y[0]) / (x[1] - x[0])
    gaps = [y_row[n] - (y[0] + slope * (x_row[n] - x[0])) for n in range(2)]
    return f"{format_signed(100.0 * math.expm1(sum(gaps) / 2.0), 1)} %"


def _line(row: Row, tuned: str, kind: str) -> tuple[list[float], list[float]]:
    """Return quality and the logarithm of bits a pixel at two steps."""
    quality = [float(row[f"{tuned}_{kind}_{step}"]) for step in (20, 60)]
    if kind == "structure":
        quality = [math.log(value) for value in quality]
    return quality, [math.log(float(row[f"{tuned}_bpp_{step}"])) for step in (20, 60)]


if __name__ == "__main__":
    main()
