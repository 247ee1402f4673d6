"""Rows of measurements: one picture, one codec, one setting; kept as CSV, averaged to curves."""

import csv
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from luxvox.benchmarks.metrics import ssim_db
from luxvox.evaluate.bd import Curve, bd_rate_percent


@dataclass(frozen=True, order=True)
class Measurement:
    """What one file cost and what it gave."""

    picture: str
    setting: float
    width: int
    height: int
    file_bytes: int
    psnr_db: float
    ms_ssim: float

    @property
    def rate_bpp(self) -> float:
        """Bits of the whole file for each pixel of the picture."""
        return 8.0 * self.file_bytes / (self.width * self.height)


@dataclass(frozen=True)
class MeanPoint:
    """The means over all pictures at one setting; MS-SSIM is averaged before it goes to dB."""

    setting: float
    rate_bpp: float
    psnr_db: float
    ms_ssim: float
    ms_ssim_db: float


Quality = Callable[[Measurement | MeanPoint], float]

QUALITIES: dict[str, Quality] = {
    "psnr": lambda point: point.psnr_db,
    "ms_ssim": lambda point: ssim_db(point.ms_ssim),
}


def write_csv(path: Path, rows: Sequence[Measurement]) -> None:
    """Write rows in the order of picture and setting."""
    columns = [field.name for field in fields(Measurement)]
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns + ["rate_bpp"], lineterminator="\n")
        writer.writeheader()
        for row in sorted(rows):
            written = {
                "setting": f"{row.setting:g}",
                "psnr_db": f"{row.psnr_db:.4f}",
                "ms_ssim": f"{row.ms_ssim:.6f}",
                "rate_bpp": f"{row.rate_bpp:.5f}",
            }
            writer.writerow(asdict(row) | written)


def read_csv(path: Path) -> list[Measurement]:
    """Read what `write_csv` wrote."""
    with path.open(encoding="utf-8", newline="") as stream:
        return [
            Measurement(
                picture=row["picture"],
                setting=float(row["setting"]),
                width=int(row["width"]),
                height=int(row["height"]),
                file_bytes=int(row["file_bytes"]),
                psnr_db=float(row["psnr_db"]),
                ms_ssim=float(row["ms_ssim"]),
            )
            for row in csv.DictReader(stream)
        ]


def mean_curve(rows: Sequence[Measurement]) -> list[MeanPoint]:
    """Average over the pictures at each setting, in the order of the settings."""
    by_setting: dict[float, list[Measurement]] = defaultdict(list)
    for row in rows:
        by_setting[row.setting].append(row)
    return [_mean_point(setting, by_setting[setting]) for setting in sorted(by_setting)]


def bd_rate_of_means(
    anchor: Sequence[Measurement], test: Sequence[Measurement], quality: Quality
) -> float:
    """BD-rate in percent between the mean curves."""
    return bd_rate_percent(
        _curve(mean_curve(anchor), quality),
        _curve(mean_curve(test), quality),
    )


def mean_of_bd_rates(
    anchor: Sequence[Measurement], test: Sequence[Measurement], quality: Quality
) -> float:
    """BD-rate in percent of each picture by itself, averaged over the pictures."""
    anchor_rows, test_rows = by_picture(anchor), by_picture(test)
    return float(
        np.mean(
            [
                bd_rate_percent(_curve(rows, quality), _curve(test_rows[picture], quality))
                for picture, rows in anchor_rows.items()
            ]
        )
    )


def monotonic_pictures(rows: Sequence[Measurement]) -> int:
    """Count the pictures on which bytes and PSNR both rise with every step of the setting."""
    return sum(
        all(
            low.file_bytes < high.file_bytes and low.psnr_db < high.psnr_db
            for low, high in zip(curve, curve[1:], strict=False)
        )
        for curve in by_picture(rows).values()
    )


def by_picture(rows: Sequence[Measurement]) -> dict[str, list[Measurement]]:
    """Group rows by picture, each group in the order of the settings."""
    groups: dict[str, list[Measurement]] = defaultdict(list)
    for row in sorted(rows):
        groups[row.picture].append(row)
    return dict(groups)


def _mean_point(setting: float, rows: Sequence[Measurement]) -> MeanPoint:
    def mean(value: Callable[[Measurement], float]) -> float:
        return math.fsum(value(row) for row in rows) / len(rows)

    similarity = mean(lambda row: row.ms_ssim)
    return MeanPoint(
        setting=setting,
        rate_bpp=mean(lambda row: row.rate_bpp),
        psnr_db=mean(lambda row: row.psnr_db),
        ms_ssim=similarity,
        ms_ssim_db=ssim_db(similarity),
    )


def _curve(points: Sequence[Measurement] | Sequence[MeanPoint], quality: Quality) -> Curve:
    return Curve(
        rates=tuple(point.rate_bpp for point in points),
        qualities=tuple(quality(point) for point in points),
    )
