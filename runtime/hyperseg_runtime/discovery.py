"""The model of a command: the named one, or the default of the working folder.

The rules, in order. None of them lets a command run another model than was meant without saying so.

1. A name with a suffix or a folder in it is a file. One without is a file if there is one, else the name of a model
   that ships with the package (`--model camvid-lite`).
2. Without a name, every file of the working folder that is named like a model counts (`model_kinds.SUFFIXES`, upper and
   lower case, links too; hidden files do not). Where there is none of any kind, the shipped model is taken.
3. Engines come before ONNX files. The engine is taken if it is the only one that this machine can run, if the others
   are of the same network, and if the ONNX files are too. It must be as new as the ONNX file that it was built from.
4. Without engines, the single ONNX file of hyperseg-export is taken. ONNX files of other programs are passed over, and
   named; damaged ones are not, since one of ours may have been meant. It must be as new as the checkpoint of its name.
5. Everything else is an error that names the files, the reason and the ways on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from hyperseg_runtime import libraries, sidecar
from hyperseg_runtime.backends.protocol import AUTO, BackendName
from hyperseg_runtime.errors import AmbiguousModelError, HyperSegError, ModelError
from hyperseg_runtime.folder_models import Candidate, check_reachable, examine, files_of, name_of
from hyperseg_runtime.libraries import Library
from hyperseg_runtime.metadata import Metadata
from hyperseg_runtime.model_kinds import Kind, is_engine, kind_of
from hyperseg_runtime.onnx_file import read_properties
from hyperseg_runtime.provenance import same_origin, stale_engine, stale_export

PACKAGED_MODELS = Path(__file__).parent / "models"
PORTABLE_SUFFIX = ".portable.onnx"
"""NAME.portable.onnx is the network of NAME.onnx in standard operators; it loads the weights from that file."""
_DATASETS = {"camvid": "CamVid", "cityscapes": "Cityscapes", "voc": "PASCAL VOC"}


@dataclass(frozen=True)
class FoundModel:
    """A model and the reason for its choice."""

    path: Path
    reason: str
    named: bool = False
    """Whether a user named the file."""
    fallback: bool = False
    """Whether it is the shipped model, taken because there is no other."""

    @property
    def warning(self) -> str | None:
        """One line on a named model that is not as it should be, but is what was asked for; hashes files beside it."""
        return _warning(self.path) if self.named else None


def locate(
    model: str | Path | None = None,
    *,
    backend: str = AUTO,
    device: int = 0,
    takes_checkpoints: bool = False,
    portable: bool | None = None,
) -> FoundModel:
    """The model that a user named, by rule 1, or without a name `find_model`'s. Raises ModelError.

    A file that does not exist is not reported here but where it is opened, unless its name could be a shipped model's.
    """
    if model is None:
        return find_model(backend=backend, device=device, takes_checkpoints=takes_checkpoints, portable=portable)
    path = Path(model)
    portable = _variant(backend, portable)
    check_reachable(path)
    if not _may_be_a_name(model, path):
        _refuse_suffix_of_shipped(path, portable)
        return FoundModel(path, "--model", named=True)
    shipped = shipped_models(portable=portable)
    if path.is_dir() and path.name in shipped:
        raise ModelError(
            f"{path} is a folder here and the name of a shipped model; name a file, as in --model {path}/FILE"
        )
    if path.name not in shipped:
        raise ModelError(
            f"there is no file {path}, and no model of that name ships with the package "
            f"({', '.join(sorted(shipped)) or 'none does'}); name a file with --model FILE"
        )
    chosen = shipped[path.name]
    return FoundModel(chosen, f"ships with the package; {_knowledge(chosen)}")


def find_model(
    folder: Path | None = None,
    packaged: Path = PACKAGED_MODELS,
    *,
    backend: str = AUTO,
    device: int = 0,
    takes_checkpoints: bool = False,
    portable: bool | None = None,
) -> FoundModel:
    """The model of `folder` (default: the working folder) by rules 2 to 5. Raises ModelError.

    backend: anything but "auto" and "tensorrt" asks for an ONNX file, "tensorrt" for an engine.
    device: index of the GPU that an engine is for.
    takes_checkpoints: whether the command takes checkpoints too, if they are named.
    portable: which variant of a shipped model; see `shipped_models`.
    """
    place = folder if folder is not None else Path()
    portable = _variant(backend, portable)
    present = files_of(place)
    if not present:
        return _shipped(place, shipped_models(packaged, portable))
    wanted = _kinds_for(backend)
    engines = [path for path in present if is_engine(path)] if Kind.ENGINE in wanted else []
    exports = [path for path in present if kind_of(path) is Kind.ONNX] if Kind.ONNX in wanted or engines else []
    files = [examine(path, device) for path in exports]
    if engines:
        return _engine(place, [examine(path, device) for path in engines], files)
    if files:
        return _export(place, files)
    raise ModelError(_nothing_to_run(place, present, wanted, takes_checkpoints))


def shipped_models(packaged: Path = PACKAGED_MODELS, portable: bool | None = None) -> dict[str, Path]:
    """The models that ship with the package: name to the file, in standard operators or in ours; None: in those that
    this installation can run."""
    found = {}
    standard = libraries.find(Library.ONNXRUNTIME) is None if portable is None else portable
    for path in files_of(packaged) if packaged.is_dir() else ():
        fits = path.name.endswith(PORTABLE_SUFFIX) is standard
        if kind_of(path) is Kind.ONNX and fits and examine(path).problem is None:
            found[path.name.removesuffix(PORTABLE_SUFFIX if standard else ".onnx")] = path
    return found


def _variant(backend: str, portable: bool | None) -> bool | None:
    """The variant of a shipped model. Those with our operators were exported for the CPU."""
    return True if portable is None and backend == BackendName.ONNXRUNTIME_CUDA.value else portable


def _may_be_a_name(model: str | Path, path: Path) -> bool:
    return path.name == str(model) and not path.suffix and not path.is_file() and str(model) not in ("", ".", "..")


def _refuse_suffix_of_shipped(path: Path, portable: bool | None) -> None:
    """Raises ModelError for a missing file that is named like a shipped model's, as in --model camvid-lite.onnx."""
    if path.name != str(path) or path.exists():
        return
    name = path.name.removesuffix(".onnx").removesuffix(PORTABLE_SUFFIX.removesuffix(".onnx"))
    if name != path.name and name in shipped_models(portable=portable):
        raise ModelError(f"{path} does not exist; the model that ships with the package is --model {name}")


def _warning(path: Path) -> str | None:
    """For a model that was named although the ONNX file or the checkpoint that it was made from has changed."""
    try:
        if is_engine(path):
            described = sidecar.read(path)
            return stale_engine(path, described) or stale_export(path, described.metadata)
        if kind_of(path) is Kind.ONNX:
            return stale_export(path, Metadata.from_properties(read_properties(path), str(path)))
    except HyperSegError:
        pass  # said when it is opened
    return None


def _kinds_for(backend: str) -> frozenset[Kind]:
    if backend == AUTO:
        return frozenset({Kind.ENGINE, Kind.ONNX})
    return frozenset({Kind.ENGINE if backend == BackendName.TENSORRT.value else Kind.ONNX})


def _shipped(place: Path, models: dict[str, Path]) -> FoundModel:
    shipped = sorted(models.values())
    if not shipped:
        raise ModelError(f"there is no model in {name_of(place)} and none ships with this package; use --model FILE")
    if len(shipped) > 1:
        raise AmbiguousModelError(f"there is no model in {name_of(place)}; {_choose(sorted(models))}")
    reason = f"ships with the package; {_knowledge(shipped[0])}; {name_of(place)} has no model of any kind"
    return FoundModel(shipped[0], reason, fallback=True)


def _knowledge(shipped: Path) -> str:
    """What the network can tell apart, from its metadata."""
    metadata = Metadata.from_properties(read_properties(shipped), str(shipped))
    dataset = str((metadata.config or {}).get("dataset", "") or metadata.preset or "its training set")
    first = ", ".join(metadata.class_names[:3])
    classes = first if metadata.num_classes <= 3 else f"{first}, ..."
    return f"it knows only the {metadata.num_classes} classes of {_DATASETS.get(dataset, dataset)}: {classes}"


def _engine(place: Path, engines: Sequence[Candidate], exports: Sequence[Candidate]) -> FoundModel:
    usable = [engine for engine in engines if engine.sidecar is not None and engine.problem is None]
    runnable = [export.path for export in exports if export.problem is None]
    if not usable:
        reasons = "; ".join(str(engine.problem) for engine in engines)
        subject = f"none of the engines in {name_of(place)} can run here: {reasons}" if len(engines) > 1 else reasons
        raise ModelError(f"{subject}; {_ways(runnable)}")
    if len(usable) > 1:
        raise AmbiguousModelError(f"several engines in {name_of(place)}: {_choose(_names(usable))}")
    chosen = usable[0]
    assert chosen.sidecar is not None
    strangers = [f"{engine.problem}" for engine in engines if engine is not chosen and not _same(chosen, engine)]
    if strangers:
        raise AmbiguousModelError(
            f"of the engines in {name_of(place)} only {chosen.path.name} can run here, and it may be another network: "
            f"{'; '.join(strangers)}; {_ways([chosen.path, *runnable])}"
        )
    _refuse_stale(stale_engine(chosen.path, chosen.sidecar), [chosen.path, *runnable])
    others = [
        export.path
        for export in exports
        if not export.foreign
        and (export.metadata is None or not same_origin(export.path, export.metadata, chosen.sidecar))
    ]
    if others:
        raise AmbiguousModelError(
            f"{chosen.path.name} and {', '.join(path.name for path in others)} in {name_of(place)} are not "
            f"known to be one network; {_choose([chosen.path.name, *(path.name for path in others)])}"
        )
    _refuse_stale(stale_export(chosen.path, chosen.sidecar.metadata), [chosen.path, *runnable])
    return FoundModel(chosen.path, f"the only engine in {name_of(place)}{_passed_over(exports)}")


def _same(chosen: Candidate, other: Candidate) -> bool:
    """Whether two engines are of one ONNX file, by their sidecars."""
    if chosen.sidecar is None or other.sidecar is None:
        return False
    return chosen.sidecar.engine.onnx_sha256 == other.sidecar.engine.onnx_sha256


def _export(place: Path, files: Sequence[Candidate]) -> FoundModel:
    ours = [file for file in files if file.problem is None]
    damaged = [str(file.problem) for file in files if file.problem is not None and not file.foreign]
    if damaged:
        raise ModelError(f"{'; '.join(damaged)}; {_ways([file.path for file in ours])}")
    if not ours:
        raise ModelError(f"{'; '.join(str(file.problem) for file in files)}; {_ways([])}")
    if len(ours) > 1:
        raise AmbiguousModelError(f"several models in {name_of(place)}: {_choose(_names(ours))}")
    (chosen,) = ours
    assert chosen.metadata is not None
    _refuse_stale(stale_export(chosen.path, chosen.metadata), [chosen.path])
    return FoundModel(chosen.path, f"the only model in {name_of(place)}{_passed_over(files)}")


def _refuse_stale(problem: str | None, ways: Sequence[Path]) -> None:
    if problem is not None:
        raise ModelError(f"{problem}, or {_ways(ways)}")


def _passed_over(files: Sequence[Candidate]) -> str:
    names = ", ".join(file.path.name for file in files if file.foreign)
    return f"; passed over, not from hyperseg-export: {names}" if names else ""


def _nothing_to_run(place: Path, present: Sequence[Path], wanted: frozenset[Kind], takes_checkpoints: bool) -> str:
    missing = " or ".join(kind.value for kind in sorted(wanted, key=lambda kind: kind.value))
    checkpoints = [path for path in present if kind_of(path) is Kind.CHECKPOINT and not path.is_dir()]
    if len(checkpoints) == 1:
        (path,) = checkpoints
        scored = f"; or name it: --model {quote(path.name)}" if takes_checkpoints else ""
        remedy = f"export it (hyperseg-export --ckpt {quote(path.name)} --onnx){scored}"
        return f"{name_of(place)} has a checkpoint, {path.name}, but no {missing}; {remedy}, or {_ways([])}"
    names = ", ".join(path.name for path in present)
    remedy = "export one (hyperseg-export --ckpt FILE --onnx), or " if checkpoints else ""
    return f"{name_of(place)} has no {missing}, only {names}; {remedy}{_ways([])}"


def _ways(usable: Sequence[Path]) -> str:
    if usable:
        return (
            f"choose {' or '.join(f'--model {quote(path.name)}' for path in usable)}, or another one with --model FILE"
        )
    names = "".join(f", or take the shipped one with --model {name}" for name in sorted(shipped_models()))
    return f"name a model with --model FILE{names}"


def _choose(names: Sequence[str]) -> str:
    return f"{', '.join(names)}; choose one with --model FILE"


def _names(files: Sequence[Candidate]) -> list[str]:
    return [file.path.name for file in files]
