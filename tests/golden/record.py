"""Record golden files: add those that the manifests do not list yet, and change nothing else.

    python tests/golden/record.py
    python tests/golden/record.py --renew picture-2

`tests/golden/` holds files that decode to the recorded codes for ever, `tests/golden_errors/` files
that are refused for ever, with the recorded class and message. `--renew` first forgets the files
of a model that was never released, and makes them again with the weights that lie there now.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

import luxvox
from luxvox.codec import container, lvx
from luxvox.errors import LuxvoxError
from luxvox.models.cards import find_card, use_weights

HERE = Path(__file__).resolve().parent
ERRORS = HERE.parent / "golden_errors"
MANIFEST = "manifest.json"


def codes_record(data: bytes) -> dict[str, dict[str, Any]]:
    """Return shape, type and SHA-256 of the codes of a file, by level."""
    codes = lvx.codes(data)
    levels = codes if isinstance(codes, dict) else {"frames": codes}
    return {
        level: {
            "shape": list(array.shape),
            "sha256": hashlib.sha256(
                array.astype(array.dtype.newbyteorder("<")).tobytes()
            ).hexdigest(),
        }
        for level, array in levels.items()
    }


def record_decoded(data: bytes) -> dict[str, Any]:
    """Return what a file decodes to, as far as all machines agree: rate, shape, means, spread."""
    if lvx.is_voice(data):
        samples, rate_hz = luxvox.decompress_speech(data)
        return {
            "rate_hz": rate_hz,
            "shape": list(samples.shape),
            "rms": round(float(np.sqrt(np.square(samples, dtype=np.float64).mean())), 6),
        }
    pixels = luxvox.decompress_image(data)
    planes = pixels.reshape(*pixels.shape[:2], -1).astype(np.float64)
    return {
        "shape": list(pixels.shape),
        "mean": [round(float(value), 2) for value in planes.mean(axis=(0, 1))],
        "deviation": [round(float(value), 2) for value in planes.std(axis=(0, 1))],
    }


def file_record(data: bytes, feature: str) -> dict[str, Any]:
    """Return the entry of a legal file."""
    header = container.read_header(data)[0]
    kind = "voice" if isinstance(header, container.VoiceHeader) else "picture"
    card = find_card(kind, header.model_number, header.fingerprint)
    return {
        "feature": feature,
        "sha256": hashlib.sha256(data).hexdigest(),
        "weights": card.id,
        "weights_sha256": card.sha256,
        "fingerprint": header.fingerprint.hex(),
        "release": luxvox.__version__,
        "cut": container.read(data).truncated,
        "codes": codes_record(data),
        "decoded": record_decoded(data),
    }


def refusal(data: bytes, limits: dict[str, Any]) -> LuxvoxError:
    """Decode a file that must be refused, and return what is raised."""
    try:
        if lvx.is_voice(data):
            luxvox.decompress_speech(data, **limits)
        else:
            luxvox.decompress_image(data, **limits)
    except LuxvoxError as error:
        return error
    raise AssertionError("not refused")


def error_record(data: bytes, feature: str, limits: dict[str, Any]) -> dict[str, Any]:
    """Return the entry of a file that is refused."""
    error = refusal(data, limits)
    message = str(error).split(" is not among")[0]  # which weights are installed may change
    return {
        "feature": feature,
        "sha256": hashlib.sha256(data).hexdigest(),
        **({"limits": limits} if limits else {}),
        "error": type(error).__name__,
        "message": message,
    }


def read_manifest(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the entries of a folder by name."""
    path = folder / MANIFEST
    if not path.exists():
        return {}
    entries: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return entries


def write_manifest(folder: Path, entries: dict[str, dict[str, Any]]) -> None:
    """Write the entries of a folder, one a line."""
    lines = (f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in entries.items())
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    (folder / MANIFEST).write_text(text, encoding="utf-8")


def renew(entries: dict[str, dict[str, Any]], weights: str) -> None:
    """Forget the files of a model, and their entries."""
    for name in [name for name, entry in entries.items() if entry["weights"] == weights]:
        (HERE / f"{name}.lvx").unlink(missing_ok=True)
        del entries[name]


def main() -> None:
    """Add what is missing."""
    from luxvox.tests.golden.files import FILES, quietly
    from luxvox.tests.golden.refusals import REFUSALS
    from luxvox.tests.golden.tiny_weights import TINY

    parser = argparse.ArgumentParser(description="record golden files")
    parser.add_argument("--renew", metavar="MODEL", help="make all files of a model again")
    entries, refused = read_manifest(HERE), read_manifest(ERRORS)
    renew(entries, parser.parse_args().renew)
    with quietly():
        for name, (feature, make) in FILES.items():
            if name not in entries:
                data = make()
                with use_weights(TINY):
                    entries[name] = file_record(data, feature)
                (HERE / f"{name}.lvx").write_bytes(data)
        for name, (feature, hostile, limits) in REFUSALS.items():
            if name not in refused:
                data = hostile()
                with use_weights(TINY):
                    refused[name] = error_record(data, feature, limits)
                (ERRORS / f"{name}.lvx").write_bytes(data)
    write_manifest(HERE, {name: entries[name] for name in sorted(entries)})
    write_manifest(ERRORS, refused)


if __name__ == "__main__":
    main()
