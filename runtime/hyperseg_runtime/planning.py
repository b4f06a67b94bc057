"""The plan of a run: tasks with their targets, checked as a whole before anything is opened or created."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hyperseg_runtime.errors import OutputError
from hyperseg_runtime.inputs import MARK, STANDARD_INPUT, Input, find_inputs, results_folder
from hyperseg_runtime.media import IMAGE_SUFFIXES, Kind, has_media_name
from hyperseg_runtime.output_files import check_name, discard_abandoned_drafts, is_folder
from hyperseg_runtime.planned_outputs import MayReplace, PlannedOutputs
from hyperseg_runtime.run_record import INCOMPLETE_NAME, RECORD_NAME, Maker, RunRecord
from hyperseg_runtime.video.formats import FORMATS
from hyperseg_runtime.video.location import displayed

FRAME_FORMATS = (".png", ".jpg")
"""Formats of a video's result that are a folder of images."""


@dataclass(frozen=True)
class VideoTask:
    """A run from one video, stream or camera to one video, or to a folder of frames."""

    kind: Kind
    source: str
    """File, URL, camera index, or "-" for standard input."""
    target: Path
    stem: str
    frames: str | None = None
    """Suffix of the frames, where `target` is a folder of them."""
    record: RunRecord | None = None
    """Where to enter the result once it is complete."""

    @property
    def live(self) -> bool:
        """Whether it is a camera or a URL, which are read at the same time as others."""
        return self.kind in (Kind.CAMERA, Kind.STREAM)


@dataclass(frozen=True)
class ImageTask:
    """A run from image files to image files."""

    target_of: Mapping[Path, Path]
    """From each image to its result."""
    done: frozenset[Path] = frozenset()
    """Images whose results are complete already."""
    records: Mapping[Path, RunRecord] = field(default_factory=dict)
    """From each image to the record for its result, if there is one."""

    @property
    def source(self) -> str:
        """The first image."""
        return str(next(iter(self.target_of)))


Task = ImageTask | VideoTask


@dataclass(frozen=True)
class Outputs:
    """Where results go, as the command line says."""

    path: str | None = None
    """A file for one input, else a folder; a trailing slash says that it is a folder."""
    form: str | None = None
    """Suffix of videos' results; None: that of `path`, else .mp4."""
    labels: Path | None = None
    """Folder of label maps."""
    files: Mapping[str, Path] = field(default_factory=dict)
    """Other files that the run writes, by their roles in messages."""
    force: bool = False
    resume: bool = False


@dataclass(frozen=True)
class Plan:
    """Tasks, and what has to be known before they run."""

    tasks: Sequence[Task]
    notes: Sequence[str]
    """One line each, about inputs that were left out."""
    targets: PlannedOutputs
    records: Sequence[RunRecord]
    """Of the folders of results."""
    force: bool
    resume: bool
    root: Path | None = None
    """The folder that all input files are below, absolute."""

    @contextmanager
    def folders(self, made_with: Callable[[], Maker]) -> Iterator[None]:
        """Within it the folders of the results exist; those that stay empty are deleted at its end.

        made_with: describes model and options; not called where there is no folder of results. Raises OutputError.
        """
        wanted = made_with() if self.records else {}
        if self.resume:
            for record in self.records:
                record.check(wanted)
            for folder in self.targets.folders:
                discard_abandoned_drafts(folder)
        made = self.targets.make_folders()
        try:
            for record in self.records:
                record.begin(wanted, self.force)
            yield
        finally:
            for record in self.records:
                if record.folder in made:
                    record.discard_if_alone()
                record.end()
            for folder in made:
                with contextlib.suppress(OSError):  # it has results
                    folder.rmdir()


def plan(texts: Sequence[str], outputs: Outputs) -> Plan:
    """Raises InputError or OutputError. Nothing has been created then, nor afterwards.

    Without `outputs.path`, results lie beside their input, as NAME.segmented.SUFFIX; those of a folder go to
    `results_folder`.
    """
    folders = [Path(outputs.path)] if outputs.path else []
    found = find_inputs(texts, [*folders, outputs.labels] if outputs.labels else folders)
    return _Planner(found.inputs, outputs).plan(found.notes)


class _Planner:
    """Finds the target of each input, and checks all of them in one pass."""

    def __init__(self, inputs: Sequence[Input], outputs: Outputs) -> None:
        self._inputs, self._outputs = inputs, outputs
        self._many = len(inputs) > 1 or any(item.folder is not None for item in inputs)
        self._targets = PlannedOutputs(outputs.force)
        self._records: dict[Path, RunRecord] = {}
        self._sources = {item.folder for item in inputs if item.folder is not None}
        self._results: dict[Path, Path] = {}
        self._checked: set[Path] = set()

    def plan(self, notes: Sequence[str]) -> Plan:
        self._check_output()
        role = "the input itself" if len(self._inputs) == 1 else "one of the inputs"
        for item in self._inputs:
            path = Path("/dev/stdin") if item.text == STANDARD_INPUT else item.path  # which may be a file: `- < FILE`
            if path is not None:
                self._targets.keep(path, role)
        if self._outputs.labels is not None:
            self._check_among_inputs(self._outputs.labels, "labels")
            self._targets.add_folder(self._outputs.labels)
        images: dict[Path, Path] = {}
        records: dict[Path, RunRecord] = {}
        done: set[Path] = set()
        videos: list[VideoTask] = []
        complete = 0
        for item in self._inputs:
            target, record = self._target(item)
            is_done = self._is_done(item, target, record)
            complete += is_done
            self._add(item, target, record, is_done)
            source = Path(item.text)
            if item.kind is not Kind.IMAGE:
                if not is_done:
                    videos.append(VideoTask(item.kind, item.text, target, item.stem, self._frames, record))
                continue
            images[source] = target
            if record is not None:
                records[source] = record
            if is_done:
                done.add(source)
        for role, path in self._outputs.files.items():
            self._targets.add(path, role)
        if complete:
            notes = [*notes, f"complete results kept (--resume): {complete} of {len(self._inputs)}"]
        tasks: list[Task] = [ImageTask(images, frozenset(done), records)] if len(images) > len(done) else []
        return Plan(
            [*tasks, *videos],
            notes,
            self._targets,
            list(self._records.values()),
            self._outputs.force,
            self._outputs.resume,
            _common_folder(self._inputs),
        )

    @property
    def _frames(self) -> str | None:
        return self._outputs.form if self._outputs.form in FRAME_FORMATS else None

    def _check_output(self) -> None:
        text, form = self._outputs.path, self._outputs.form
        if form is not None and form not in (*FORMATS, *FRAME_FORMATS):
            raise OutputError(f"--format {form[1:]}: this version writes {_listed((*FORMATS, *FRAME_FORMATS))}")
        if text == "":
            raise OutputError("-o has an empty name; name a file, or a folder for several results")
        if text is None or is_folder(Path(text)) or text.endswith(os.sep):
            return
        path = Path(text)
        if has_media_name(path) and (self._many or self._frames):
            what = "several results" if self._many else "the frames of a video"
            raise OutputError(f"{path} is the name of a file, but {what} go into a folder; name one with -o")
        if not self._many and form is not None and self._frames is None and path.suffix.lower() != form:
            raise OutputError(f"-o {path} and --format {form[1:]} are different formats; omit one of them")

    def _target(self, item: Input) -> tuple[Path, RunRecord | None]:
        """The target of a result, and the record of its folder where that is a folder of results."""
        suffix = self._suffix(item)
        folder = self._folder_for(item)
        if folder is not None:
            self._check_among_inputs(folder, "results")
            self._targets.add_folder(folder)
            own = item.place is not None and not self._many and _same_folder(folder, item.place)
            record = self._record(folder) if self._many else None
            return folder / f"{item.stem}{MARK if own else ''}{suffix}", record
        if self._outputs.path is not None:
            return Path(self._outputs.path), None
        return (item.place or Path()) / f"{item.stem}{MARK}{suffix}", None

    def _suffix(self, item: Input) -> str:
        if item.kind is Kind.IMAGE:
            suffix = Path(item.text).suffix.lower()
            return suffix if suffix in IMAGE_SUFFIXES else ".png"
        return "" if self._frames else self._outputs.form or ".mp4"

    def _folder_for(self, item: Input) -> Path | None:
        """The folder into which the result goes by its own name."""
        text = self._outputs.path
        if text is not None:
            frames_alone = self._frames is not None and item.kind is not Kind.IMAGE and not self._many
            into = self._many or text.endswith(os.sep) or is_folder(Path(text))
            return Path(text) if into and not frames_alone else None
        if item.folder is None:
            return None
        if item.folder not in self._results:
            self._results[item.folder] = results_folder(item.folder)
        return self._results[item.folder]

    def _record(self, folder: Path) -> RunRecord:
        if folder not in self._records:
            self._records[folder] = RunRecord(folder)
            if self._outputs.resume:
                self._records[folder].check_readable()
            self._targets.add(folder / RECORD_NAME, "the record of the run", _always)
        return self._records[folder]

    def _check_among_inputs(self, folder: Path, what: str) -> None:
        if folder in self._checked:
            return
        self._checked.add(folder)
        for source in self._sources:
            if _same_folder(folder, source):
                raise OutputError(
                    f"{folder} is an input folder, and the next run would take the {what} for inputs; "
                    "name another folder"
                )

    def _is_done(self, item: Input, target: Path, record: RunRecord | None) -> bool:
        if not self._outputs.resume or record is None or item.path is None:
            return False
        if not record.is_complete(target, item.path):
            return False
        labels = self._outputs.labels
        if item.kind is Kind.IMAGE:
            return labels is None or (labels / f"{item.stem}.png").is_file()
        folders = [] if labels is None else [(labels, ".png")]
        folders += [] if self._frames is None else [(target, self._frames)]
        frames = record.frames_of(target)
        return all(self._targets.count_frames(folder, item.stem, suffix) == frames for folder, suffix in folders)

    def _add(self, item: Input, target: Path, record: RunRecord | None, is_done: bool) -> None:
        """Adds the result and the labels of an input to the targets."""
        check_name(target)
        may_replace: MayReplace | None = None
        if self._outputs.resume and record is not None and item.path is not None:  # what a camera saw is gone
            may_replace = _always if is_done else record.made
        frames = self._frames if item.kind is not Kind.IMAGE else None
        if frames is not None:
            if may_replace is None and self._outputs.resume:
                self._explain_resume(target / INCOMPLETE_NAME, record)
            self._targets.add_folder(target)
            self._targets.add_frames(target, item.stem, frames, f"the frames of {displayed(item.text)}", may_replace)
            self._targets.add(target / INCOMPLETE_NAME, "the mark of an incomplete folder", _always)
        else:
            self._check_suffix(item, target)
            if may_replace is None and not self._outputs.force:
                self._explain_resume(target, record)
            role = "the result" if len(self._inputs) == 1 else "a result"
            self._targets.add(target, role, may_replace)
        labels = self._outputs.labels
        if labels is None:
            return
        if item.kind is Kind.IMAGE:
            self._targets.add(labels / f"{item.stem}.png", "labels", may_replace)
        else:
            self._targets.add_frames(labels, item.stem, ".png", "labels of frames", may_replace)

    def _explain_resume(self, target: Path, record: RunRecord | None) -> None:
        """Raises OutputError where the target exists, and --resume would help, or was meant to and cannot."""
        if record is not None and record.exists and os.path.lexists(target):
            raise OutputError(
                f"{target} exists and was kept; --resume continues that run, --force replaces its results, "
                "or name another folder with -o"
            )
        if record is None and self._outputs.resume and os.path.lexists(target):
            raise OutputError(
                f"{target} exists and was kept; --resume continues runs of a folder or of several inputs, "
                "not the result of one; replace it with --force"
            )

    def _check_suffix(self, item: Input, target: Path) -> None:
        known = IMAGE_SUFFIXES if item.kind is Kind.IMAGE else tuple(FORMATS)
        if not is_folder(target) and target.suffix.lower() not in known:
            what = "images" if item.kind is Kind.IMAGE else "videos"
            frames = "" if item.kind is Kind.IMAGE else "; for its frames as images, --format png -o FOLDER"
            raise OutputError(
                f"{target}: {what} are written as {_listed(known)}; choose one of these (-o FILE){frames}"
            )


def _common_folder(inputs: Sequence[Input]) -> Path | None:
    folders = [str(item.path.absolute().parent) for item in inputs if item.path is not None]
    try:
        return Path(os.path.commonpath(folders)) if folders else None
    except ValueError:  # several drives
        return None


def _always(path: Path) -> bool:
    del path
    return True


def _same_folder(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _listed(suffixes: Sequence[str]) -> str:
    return ", ".join(sorted(suffixes))
