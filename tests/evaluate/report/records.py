"""A small record of results, as in results.json, with figures that can be checked by hand."""

from typing import Any


def record() -> dict[str, Any]:
    """Return three pictures by luxvox and JPEG at three points, timed on one of them.

    On `easy.png` luxvox needs half the bits of JPEG, on `hard.png` twice as many, and on `even.png`
    as many.
    """
    shares = {"easy.png": 0.5, "even.png": 1.0, "hard.png": 2.0}
    rows = []
    for file, share in shares.items():
        for codec, factor in (("luxvox", share), ("jpeg", 1.0)):
            for point, rate in ((1.0, 0.25), (2.0, 0.5), (3.0, 1.0)):
                figures = {"psnr": 30.0 + 4 * point, "ms_ssim": 1.0 - 10.0 ** (-0.5 - point / 2)}
                size = {"bytes": round(rate * factor * 12_500), "rate": rate * factor}
                rows.append(
                    {"file": file, "codec": codec, "point": point, **size, "figures": figures}
                )
    return {
        "kind": "pictures",
        "rate_unit": "bits per pixel",
        "run": {"command": "luxvox evaluate p/", "data": "p: 3 pictures", "machine": "a machine"},
        "files": [{"name": name, "width": 400, "height": 250} for name in shares],
        "codecs": [
            {"name": "luxvox", "label": "luxvox", "version": "picture-0", "points": [1, 2, 3]},
            {"name": "jpeg", "label": "JPEG (a_b & 50 %)", "version": "1", "points": [1, 2, 3]},
        ],
        "scales": [scale("psnr", "PSNR", "dB"), scale("ms_ssim_db", "MS-SSIM", "dB")],
        "rows": rows,
        "means": [mean(rows, codec, point) for codec in ("luxvox", "jpeg") for point in (1, 2, 3)],
        "comparisons": [
            comparison(reference, codec)
            for reference, codec in (("luxvox", "jpeg"), ("jpeg", "luxvox"))
        ],
        "times": {
            "files": ["easy.png"],
            "points": [
                {"codec": codec, "point": point, "rate": 1.0, "encode_s": s, "decode_s": s / 2}
                for codec, seconds in (("luxvox", (0.1, 0.2, 0.3)), ("jpeg", (0.01, 0.01, 0.01)))
                for point, s in zip((1, 2, 3), seconds, strict=True)
            ],
        },
        "against": [],
        "skipped": [],
        "absent": [],
    }


def scale(name: str, label: str, unit: str) -> dict[str, Any]:
    metric = name.removesuffix("_db")
    about = {"digits": 2, "is_higher_better": True, "is_compared": True, "files": 3}
    return {"name": name, "label": label, "unit": unit, "metric": metric, "version": "1", **about}


def mean(rows: list[dict[str, Any]], codec: str, point: float) -> dict[str, Any]:
    own = [row for row in rows if (row["codec"], row["point"]) == (codec, point)]
    rate = sum(row["rate"] for row in own) / len(own)
    figures = {
        name: {"rate": rate, "mean": own[0]["figures"][metric], "interval": None}
        for name, metric in (("psnr", "psnr"), ("ms_ssim_db", "ms_ssim"))
    }
    return {"codec": codec, "point": point, "rate": rate, "interval": None, "figures": figures}


def comparison(reference: str, codec: str) -> dict[str, Any]:
    rate = {"value": -12.34 if codec == "luxvox" else 14.1, "interval": [-20.0, -5.0]}
    return {"scale": "psnr", "reference": reference, "codec": codec, "rate": rate}
