"""Labels at the frame's size: what each way to compute them costs, for a shipped model on the rendered street.

    python benchmarks/label_sizes.py [--model camvid-lite] [--threads 1] [--repeats 31]

Ways, run alternately, so that a busy machine slows all alike; the table shows medians in milliseconds:

    nearest      the file's own labels, enlarged by nearest neighbour: what is shown up to 0.1
    full logits  the low-resolution logits enlarged by cv2.resize, in memory at the frame's size, and their argmax
    OpenCV       the same a class at a time, with the largest values so far in memory
    NumPy        upsampling.labels_at where libhyperseg_cpu.so was not built: bands of rows
    library      upsampling.labels_at with libhyperseg_cpu.so
    worst case   the same on noise, where no two neighbours are of one class

"differ" is the share of pixels whose nearest-neighbour label is not that of the enlarged logits. The second table is
the network's own time in ONNX Runtime: with its labels, with the low-resolution logits asked for in their place, and
without the nodes behind these logits.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime as ort
from hyperseg_runtime import graph_end, machine
from hyperseg_runtime.backends.protocol import SessionOptions
from hyperseg_runtime.backends.selection import open_session
from hyperseg_runtime.discovery import locate
from hyperseg_runtime.libraries import Library, require
from hyperseg_runtime.native_labels import CpuLabels
from hyperseg_runtime.onnx_file import read_nodes
from hyperseg_runtime.preprocess import prepare, restore
from hyperseg_runtime.resolution import network_size
from hyperseg_runtime.upsampling import Placement, labels_by_numpy
from numpy.typing import NDArray

SIZES = {"720p": (720, 1280), "1080p": (1080, 1920), "4K": (2160, 3840)}


def street_frame() -> NDArray[Any]:
    with tempfile.TemporaryDirectory() as folder:
        video = str(Path(folder) / "street.mp4")
        command = ["hyperseg-street", video, "--size", "480x640", "--seed", "4", "--frames", "3"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return np.asarray(cv2.VideoCapture(video).read()[1])


def medians(ways: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Milliseconds, interleaved."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(repeats + 2):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            if repeat > 1:  # the first turns warm up
                times[name].append(1000 * (time.perf_counter() - start))
    return {name: statistics.median(found) for name, found in times.items()}


def full_logits(logits: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    height, width = size
    return np.stack([cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR) for plane in logits]).argmax(0)


def class_by_class(logits: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    height, width = size
    best = cv2.resize(logits[0], (width, height), interpolation=cv2.INTER_LINEAR)
    labels = np.zeros(size, np.uint8)
    for channel, plane in enumerate(logits[1:], 1):
        enlarged = cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR)
        larger = enlarged > best
        np.copyto(best, enlarged, where=larger)
        labels[larger] = channel
    return labels


def print_sizes(labels: NDArray[Any], logits: NDArray[Any], threads: int, repeats: int) -> None:
    library = CpuLabels(require(Library.CPU))
    noise = np.random.default_rng(0).standard_normal(logits.shape).astype(logits.dtype)
    names = ("nearest", "full logits", "OpenCV", "NumPy", "library", "worst case")
    print("| frame | " + " | ".join(names) + " | differ |\n" + "|---" * (len(names) + 2) + "|")
    for frame, size in SIZES.items():
        placement = Placement(size)
        ways: dict[str, Callable[[], Any]] = {
            "nearest": lambda size=size: restore(labels, size),
            "full logits": lambda size=size: full_logits(logits, size),
            "OpenCV": lambda size=size: class_by_class(logits, size),
            "NumPy": lambda placement=placement: labels_by_numpy(logits, placement),
            "library": lambda placement=placement: library.at(logits, placement, threads),
            "worst case": lambda placement=placement: library.at(noise, placement, threads),
        }
        found = medians(ways, repeats)
        differ = float((ways["nearest"]() != ways["library"]()).mean())
        cells = [f"{found[name]:.2f}" if found[name] < 10 else f"{found[name]:.0f}" for name in names]
        print(f"| {frame} | {' | '.join(cells)} | {100 * differ:.2f} % |", flush=True)


def print_end(model: Path, images: NDArray[Any], threads: int, repeats: int) -> None:
    name = graph_end.low_logits_name(read_nodes(model))
    assert name is not None
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.force_spinning_stop", "1")
    options.register_custom_ops_library(str(require(Library.ONNXRUNTIME)))
    both = model.read_bytes() + graph_end.output_field(name)
    cut = onnx.load_from_string(both)
    needed, kept = {name}, []
    for node in reversed(cut.graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.append(node)
    del cut.graph.node[:], cut.graph.output[:-1]
    cut.graph.node.extend(reversed(kept))
    whole, shorter = (ort.InferenceSession(file, options) for file in (both, cut.SerializeToString()))
    inputs = {"image": images}
    ways = {
        "labels": lambda: whole.run(["labels"], inputs),
        "logits, whole graph": lambda: whole.run([name], inputs),
        "logits, without its end": lambda: shorter.run([name], inputs),
    }
    print("\n| " + " | ".join(ways) + " |\n" + "|---" * len(ways) + "|")
    print("| " + " | ".join(f"{value:.2f}" for value in medians(ways, repeats).values()) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="camvid-lite")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=31)
    options = parser.parse_args()
    cv2.setNumThreads(options.threads)
    model = locate(options.model).path
    session = open_session(model, "onnxruntime", SessionOptions(threads=options.threads), print)
    size = network_size(session.metadata, None)
    images = prepare(street_frame(), session.metadata.input, size)
    outputs, logits = session.run(images), session.run_low(images)[0]
    assert outputs.labels is not None
    print(
        f"{machine.cpu_name()}, {machine.threads_text(options.threads)}; {options.model} at {size[0]}x{size[1]}, "
        f"logits {logits.dtype} {list(logits.shape)}\n"
    )
    print_sizes(outputs.labels[0], logits, options.threads, options.repeats)
    print_end(model, images, options.threads, options.repeats)


if __name__ == "__main__":
    main()
