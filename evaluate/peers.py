"""Codecs as the evaluation sees them: one small protocol, and the ways to join.

A codec joins by the built-in list, by an entry point of the group `luxvox.peers`, or by the option
`--peer module:object`. A codec of your own needs `name`, `points`, `encode` and `decode`; whatever
else the protocol asks for is filled in.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import inspect
import numbers
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from luxvox.errors import LuxvoxError, UsageError
from luxvox.evaluate.inputs import PICTURES, VOICES, Kind, one_line

ENTRY_POINTS = "luxvox.peers"
OWN = "luxvox"


class Peer(Protocol):
    """A codec among others.

    An original is a picture, RGB, uint8 [H, W, 3], or a voice, 16 kHz mono, float32 [T]; so is what
    `decode` returns, of the same size (voices are cut or padded with silence to their length).
    """

    @property
    def name(self) -> str:
        """A short word, for options and files."""

    @property
    def label(self) -> str:
        """Name and settings, as printed in tables."""

    @property
    def kind(self) -> Kind:
        """What it codes."""

    @property
    def points(self) -> tuple[float, ...]:
        """The settings to measure, from the smallest file to the largest."""

    @property
    def install(self) -> str:
        """The command that installs what it needs."""

    def version(self) -> str:
        """Name libraries and versions.

        Raises:
            ImportError: a library is missing.
            LuxvoxError or OSError: weights are missing.
        """

    def encode(self, original: NDArray[Any], point: float) -> bytes:
        """Return a whole file."""

    def decode(self, data: bytes) -> NDArray[Any]:
        """Return the contents of a file that `encode` wrote."""

    def payload_bytes(self, data: bytes) -> int:
        """Return how many bytes of a file count: all, unless its container is not the codec's."""


@dataclass(frozen=True)
class PeerSpec:
    """How to find a codec, in this process and in others.

    Attributes:
        name: a built-in name, the name of an entry point, or `module:object`.
        kind: of a built-in name.
        points: in place of the codec's own; if empty, its own.
        checkpoints: files of weights, one per point, for codecs that take them.
    """

    name: str
    kind: Kind = PICTURES
    points: tuple[float, ...] = ()
    checkpoints: tuple[str, ...] = ()


@dataclass(frozen=True)
class Codec:
    """A codec that can run here."""

    spec: PeerSpec
    name: str
    label: str
    kind: Kind
    points: tuple[float, ...]
    version: str


@dataclass(frozen=True)
class Absent:
    """A codec or metric that cannot run here, why, and the command that helps."""

    name: str
    reason: str
    install: str


# The module, and the name in it, of every built-in codec; those that a plain run measures come
# first.
_BUILT_IN: dict[Kind, dict[str, tuple[str, str]]] = {
    PICTURES: {
        OWN: ("picture.peers", "LUXVOX"),
        "luxvox-psnr": ("picture.peers", "LUXVOX_PSNR"),
        "jpeg": ("picture.peers", "JPEG"),
        "webp": ("picture.peers", "WEBP"),
        "avif": ("picture.peers", "AVIF"),
        "avif-psnr": ("picture.peers", "AVIF_PSNR"),
        "jxl": ("picture.peers", "JXL"),
        "jpeg2000": ("picture.peers", "JPEG2000"),
        "bmshj2018-factorized": ("picture.compressai_peers", "FACTORIZED"),
        "mbt2018-mean": ("picture.compressai_peers", "MEAN_SCALE"),
    },
    VOICES: {
        OWN: ("voice.peers", "LUXVOX"),
        "opus": ("voice.peers", "OPUS"),
        "codec2": ("voice.peers", "CODEC2"),
        "luxvox-1": ("voice.peers", "LUXVOX_FAST"),
        "luxvox-9": ("voice.peers", "LUXVOX_BEST"),
        "luxvox-prefix": ("voice.peers", "LUXVOX_PREFIX"),
        "original": ("voice.peers", "ORIGINAL"),
    },
}
_USUAL: dict[Kind, tuple[str, ...]] = {
    PICTURES: ("luxvox-psnr", "jpeg", "webp", "avif", "avif-psnr", "jxl", "jpeg2000"),
    VOICES: ("opus", "codec2"),
}


def is_own(name: str) -> bool:
    """Return whether a codec is luxvox, at any setting."""
    return name == OWN or name.startswith(f"{OWN}-")


def usual_specs() -> list[PeerSpec]:
    """Return the codecs that are measured when none are named, entry points included."""
    usual = [PeerSpec(name, kind) for kind, names in _USUAL.items() for name in names]
    return [*usual, *(PeerSpec(entry.name) for entry in entry_points(group=ENTRY_POINTS))]


def find_specs(names: Sequence[str]) -> list[PeerSpec]:
    """Find codecs by the names of the command line, of both kinds if both know the name.

    Raises:
        UsageError: an unknown name; the message lists the known ones.
    """
    return [spec for name in names for spec in _specs_named(name)]


def _specs_named(name: str) -> list[PeerSpec]:
    of_kinds = [PeerSpec(name, kind) for kind, known in _BUILT_IN.items() if name in known]
    entries = [entry.name for entry in entry_points(group=ENTRY_POINTS)]
    if of_kinds or ":" in name or name in entries:
        return of_kinds or [PeerSpec(name)]
    known = dict.fromkeys(word for kind in _BUILT_IN.values() for word in (*kind, *entries))
    raise UsageError(f"no codec is called {name}; known: {', '.join(known)}, or module:object")


@functools.lru_cache(maxsize=64)
def load(spec: PeerSpec) -> Peer:
    """Return the codec of a spec; it may still lack a library.

    Raises:
        UsageError: there is no such object, or it lacks something that a codec needs.
    """
    built_in = _BUILT_IN[spec.kind].get(spec.name)
    if built_in is not None:
        module = importlib.import_module(f"luxvox.evaluate.{built_in[0]}")
        peer: Peer = getattr(module, built_in[1])
        if spec.checkpoints:
            peer = _with_checkpoints(peer, spec.checkpoints)
        return peer
    own = adopt(_foreign_object(spec.name), spec.name)
    return _with_checkpoints(own, spec.checkpoints) if spec.checkpoints else own


def enter(spec: PeerSpec) -> Codec | Absent:
    """Find out whether a codec can run here, and in which version.

    Raises:
        UsageError: there is no such codec.
    """
    peer = load(spec)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of libraries that are imported
            version = peer.version()
    except (ImportError, LuxvoxError, OSError, RuntimeError) as error:
        # A library that does not match torch raises a RuntimeError.
        return Absent(peer.name, one_line(error), peer.install)
    points = spec.points or peer.points
    return Codec(spec, peer.name, peer.label, peer.kind, tuple(points), version)


def _with_checkpoints(peer: Peer, paths: tuple[str, ...]) -> Peer:
    with_checkpoints = getattr(peer, "with_checkpoints", None)
    if with_checkpoints is None:
        raise UsageError(f"{peer.name} takes no checkpoint")
    loaded: Peer = with_checkpoints(paths)
    return loaded


def _foreign_object(name: str) -> Any:
    for entry in entry_points(group=ENTRY_POINTS):
        if entry.name == name:
            return entry.load()
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"{name}: {error}") from error


@dataclass(frozen=True)
class Adopted:
    """A user's own codec, with whatever it does not define filled in."""

    own: Any
    name: str
    label: str
    kind: Kind
    points: tuple[float, ...]
    install: str

    def version(self) -> str:
        """Return its version, or a digest of its source, so that cached figures are its own."""
        version = getattr(self.own, "version", None)
        if not version:
            return _source_digest(self.own)
        return str(version() if callable(version) else version)

    def encode(self, original: NDArray[Any], point: float) -> bytes:
        """Encode at a point, passed in the form in which the codec itself writes it."""
        return bytes(self.own.encode(original, self._own_point(point)))

    def decode(self, data: bytes) -> NDArray[Any]:
        """Decode."""
        decoded: NDArray[Any] = self.own.decode(data)
        return decoded

    def payload_bytes(self, data: bytes) -> int:
        """Count the bytes that it says, or all of them."""
        count = getattr(self.own, "payload_bytes", len)
        return int(count(data))

    def _own_point(self, point: float) -> Any:
        """Return the codec's own number for a point: a setting may have to be an integer."""
        own_points = tuple(self.own.points)
        for own_point in own_points:
            if float(own_point) == point:
                return own_point
        are_integers = all(isinstance(own_point, numbers.Integral) for own_point in own_points)
        return int(point) if are_integers and point.is_integer() else point


def adopt(own: Any, name: str) -> Peer:
    """Make a codec from an object, or from a class or function that returns one without arguments.

    Raises:
        UsageError: it lacks `name`, `points`, `encode` or `decode`; or its kind is unknown.
    """
    if inspect.isclass(own) or inspect.isfunction(own):
        own = own()
    missing = [part for part in ("name", "points", "encode", "decode") if not hasattr(own, part)]
    if missing:
        raise UsageError(f"{name}: a codec needs {', '.join(missing)}")
    kind = getattr(own, "kind", PICTURES)
    if kind not in (PICTURES, VOICES):
        raise UsageError(f"{name}: its kind is {kind!r}, legal: {PICTURES}, {VOICES}")
    label, install = getattr(own, "label", own.name), getattr(own, "install", "")
    return Adopted(own, str(own.name), str(label), kind, tuple(map(float, own.points)), install)


def _source_digest(own: Any) -> str:
    try:
        source = Path(inspect.getfile(type(own) if not inspect.ismodule(own) else own)).read_bytes()
    except (OSError, TypeError):
        return "unknown version"
    return f"source {hashlib.sha256(source).hexdigest()[:8]}"
