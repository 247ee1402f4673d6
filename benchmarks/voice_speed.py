"""Measure how many times faster than real time voices are compressed and decompressed, and memory.

    python benchmarks/voice_speed.py speech-val/ --minutes 1 --minutes 60 --effort 1 --effort 5

The recordings of the folder follow one another until the length is reached. Every figure is taken
in a process of its own; the first call, which loads the weights, is timed by itself. Lengths after
the first are compressed with the first effort alone. Processor time is recorded, too: it shows how
fast an otherwise idle machine would be.
"""

import json
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np
import soundfile

from luxvox.benchmarks.origin import describe_packages, repeat_command
from luxvox.benchmarks.speed import in_own_process, peak_bytes
from luxvox.evaluate.report.pages import splice, table
from luxvox.evaluate.timing import machine

DOCS = Path(__file__).resolve().parent.parent / "docs"


@dataclass(frozen=True)
class VoiceJob:
    """One recording in a folder, as WAV and as `.lvx` file, and how to run it."""

    folder: Path
    bitrate: float
    effort: int
    threads: int

    @property
    def wav_path(self) -> Path:
        """Name the recording."""
        return self.folder / "voice.wav"

    @property
    def lvx_path(self) -> Path:
        """Name the compressed file."""
        return self.folder / "voice.lvx"


@dataclass(frozen=True)
class VoiceTiming:
    """What compressing or decompressing one recording took, loading the weights apart."""

    direction: str
    minutes: float
    bitrate: float
    effort: int
    threads: int
    file_bytes: int
    load_s: float
    seconds: float
    processor_s: float
    peak_mib: int


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--bitrate", default=3.0, show_default=True)
@click.option("--threads", default=2, show_default=True, help="Threads of torch.")
@click.option("--minutes", multiple=True, type=float, default=(1.0,), show_default=True)
@click.option("--effort", "efforts", multiple=True, type=int, default=(1, 5), show_default=True)
@click.option("--docs", default=DOCS, type=click.Path(exists=True, path_type=Path))
def main(
    *,
    folder: Path,
    bitrate: float,
    threads: int,
    minutes: tuple[float, ...],
    efforts: tuple[int, ...],
    docs: Path,
) -> None:
    """Measure luxvox on the recordings of FOLDER."""
    timings = []
    tasks = [(minutes[0], effort) for effort in efforts]
    tasks += [(length, efforts[0]) for length in minutes[1:]]
    for length, effort in tasks:
        with tempfile.TemporaryDirectory() as scratch:
            job = VoiceJob(Path(scratch), bitrate, effort, threads)
            write_recording(folder, job.wav_path, length)
            for work in (time_compress, time_decompress):
                timings.append(in_own_process(work, job))
                click.echo("  ".join(_cells(timings[-1])), err=True)
    record = {
        "command": repeat_command(folder),
        "machine": machine(),
        "packages": describe_packages("torch", "numpy", weights=("voice",)),
        "timings": [asdict(timing) for timing in timings],
    }
    (docs / "results" / "voice-speed.json").write_text(json.dumps(record, indent=2) + "\n", "utf-8")
    head = [
        "",
        "effort",
        "minutes",
        "bytes",
        "loading, s",
        "s",
        "times real time",
        "processor, s",
        "memory, MiB",
    ]
    text = "\n\n".join(
        [
            f"{bitrate:g} kbit/s, {threads} threads. Memory is the peak of the whole process.",
            table(head, [_cells(timing) for timing in timings]),
            f"`{record['command']}`, {record['machine']}, {record['packages']}.",
        ]
    )
    splice(docs / "results.md", "voice-speed", text)
    click.echo(text)


def write_recording(folder: Path, target: Path, minutes: float) -> None:
    """Write the recordings of a folder one after the other, again and again, as one WAV file."""
    clips = [soundfile.read(path, dtype="int16")[0] for path in sorted(folder.glob("*.flac"))]
    n_left = round(minutes * 60 * 16_000)
    with soundfile.SoundFile(target, "w", 16_000, 1, "PCM_16") as file:
        while n_left:
            for clip in clips:
                file.write(clip[:n_left])
                n_left -= min(n_left, len(clip))


def time_compress(job: VoiceJob) -> VoiceTiming:
    """Time compression and leave the file in the job's folder."""
    from luxvox.codec.voice.recordings import open_recording
    from luxvox.codec.voices import compress_recording

    load_s = _load(job)
    clock = _Clock()
    data = compress_recording(open_recording(job.wav_path), bitrate=job.bitrate, effort=job.effort)
    times = clock.read()
    job.lvx_path.write_bytes(data)
    return _timing("compress", job, load_s, times)


def time_decompress(job: VoiceJob) -> VoiceTiming:
    """Time decompression, stretch after stretch as players do."""
    import luxvox

    load_s = _load(job)
    clock = _Clock()
    for _ in luxvox.stream_speech(job.lvx_path):
        pass
    return _timing("decompress", job, load_s, clock.read())


class _Clock:
    """Wall time and processor time from here on."""

    def __init__(self) -> None:
        self._begin_s = time.perf_counter()
        self._processor_begin_s = time.process_time()

    def read(self) -> tuple[float, float]:
        return (
            time.perf_counter() - self._begin_s,
            time.process_time() - self._processor_begin_s,
        )


def _load(job: VoiceJob) -> float:
    """Load and warm everything by coding half a second; return the seconds it took."""
    begin = time.perf_counter()
    import torch

    import luxvox

    torch.set_num_threads(job.threads)
    luxvox.decompress_speech(luxvox.compress_speech(np.zeros(8000, np.float32), 16_000, quality=50))
    return time.perf_counter() - begin


def _timing(
    direction: str, job: VoiceJob, load_s: float, times: tuple[float, float]
) -> VoiceTiming:
    info = soundfile.info(job.wav_path)
    seconds, processor_s = times
    return VoiceTiming(
        direction=direction,
        minutes=info.frames / info.samplerate / 60.0,
        bitrate=job.bitrate,
        effort=job.effort,
        threads=job.threads,
        file_bytes=job.lvx_path.stat().st_size,
        load_s=round(load_s, 3),
        seconds=round(seconds, 3),
        processor_s=round(processor_s, 3),
        peak_mib=round(peak_bytes() / 2**20),
    )


def _cells(timing: VoiceTiming) -> list[str]:
    return [
        timing.direction,
        f"{timing.effort}",
        f"{timing.minutes:g}",
        f"{timing.file_bytes:,}",
        f"{timing.load_s:.1f}",
        f"{timing.seconds:.1f}",
        f"{60.0 * timing.minutes / timing.seconds:.1f}",
        f"{timing.processor_s:.1f}",
        f"{timing.peak_mib}",
    ]


if __name__ == "__main__":
    main()
