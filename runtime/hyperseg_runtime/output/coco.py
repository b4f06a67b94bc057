"""COCO file of a run: the regions of every frame as polygons, for annotation and training tools.

Annotations are written frame by frame, so memory does not grow with a video's length. What the file has after the last
complete frame is kept, whatever ends the run.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

from hyperseg_runtime.errors import OutputError
from hyperseg_runtime.metadata import Metadata
from hyperseg_runtime.names import as_unicode
from hyperseg_runtime.output.polygons import Region, regions
from hyperseg_runtime.output_files import Draft, write_error
from hyperseg_runtime.preprocess import Labels
from hyperseg_runtime.video.sources import SourceFrame

COCO_SUFFIX = ".json"


class CocoFile:
    """Images, annotations and categories of a run in one file, which gets its name on `close`.

    Category 1 is label 0, and so on: tools take category 0 for background.
    """

    def __init__(
        self,
        path: Path,
        metadata: Metadata,
        classes: Iterable[int] | None = None,
        root: Path | None = None,
        force: bool = True,
    ) -> None:
        """classes: the labels to write polygons of; None: all classes. Raises OutputError, as all methods do.

        root: the folder that names of files are relative to; None: they are names only, which must differ.
        force: whether to replace a file that was created meanwhile.
        """
        self._root, self._force = root, force
        self._path, self._draft = path, Draft(path)
        self._wanted = frozenset(range(metadata.num_classes) if classes is None else classes)
        self._images = self._annotations = 0
        self._failed = False
        categories = [
            {"id": label + 1, "name": name, "supercategory": ""}
            for label, name in enumerate(metadata.class_names)
            if label in self._wanted
        ]
        try:
            self._file: IO[bytes] = self._draft.path.open("wb")
            self._image_list: IO[bytes] = tempfile.TemporaryFile(dir=self._draft.path.parent)  # noqa: SIM115
            self._file.write(b'{"categories": ' + _json(categories) + b',\n"annotations": [')
            self._complete = self._file.tell(), 0
        except OSError as error:
            self._draft.discard()
            raise write_error(path, error) from error

    def write(self, source: str, frame: SourceFrame, labels: Labels) -> None:
        """Adds a frame. source: the name of its video or image file."""
        if self._failed:
            raise OutputError(f"{self._path} could not be written before, so it has no polygons of {source}")
        try:
            self._annotations += self._write_regions(regions(labels, self._wanted))
            self._image_list.write(_separator(self._images) + _json(self._image(source, frame, labels)))
            self._images += 1
            self._complete = self._file.tell(), self._image_list.tell()
        except OSError as error:
            self._failed = True
            raise write_error(self._path, error) from error

    def _write_regions(self, found: Iterable[Region]) -> int:
        count = 0
        for region in found:
            annotation = {
                "id": self._annotations + count + 1,
                "image_id": self._images + 1,
                "category_id": region.label + 1,
                "segmentation": [region.ring.reshape(-1).tolist()],
                "area": region.area,
                "bbox": list(region.box),
                "iscrowd": 0,
            }
            self._file.write(_separator(self._annotations + count) + _json(annotation))
            count += 1
        return count

    def _image(self, source: str, frame: SourceFrame, labels: Labels) -> dict[str, Any]:
        height, width = labels.shape
        image = {
            "id": self._images + 1,
            "file_name": as_unicode(self._name(source, frame)),
            "height": height,
            "width": width,
            "source": as_unicode(source),
        }
        if frame.path is None:
            image |= {"frame": frame.index, "seconds": round(float(frame.time), 6)}
        return image

    def _name(self, source: str, frame: SourceFrame) -> str:
        name = frame.name if frame.path is None else frame.path.name
        path = frame.path or Path(source)
        if self._root is None or not path.is_file():  # a camera, a stream
            return name
        return Path(os.path.relpath(path.absolute().parent, self._root), name).as_posix()

    def close(self) -> None:
        """Completes the file with the frames that were written completely, unless writing failed."""
        try:
            if not self._failed:
                self._finish()
        except OSError as error:
            raise write_error(self._path, error) from error
        finally:
            self._close_files()
            self._draft.discard()

    def _finish(self) -> None:
        annotations, images = self._complete
        for file, size in ((self._file, annotations), (self._image_list, images)):
            file.seek(size)
            file.truncate()
        self._file.write(b'],\n"images": [')
        self._image_list.seek(0)
        shutil.copyfileobj(self._image_list, self._file)
        self._file.write(b"]}\n")
        self._file.close()
        self._draft.publish(replace=self._force)

    def _close_files(self) -> None:
        for file in (self._file, self._image_list):
            try:
                file.close()
            except OSError:  # bytes that found no room, which was reported or is about to be
                self._failed = True


def _separator(before: int) -> bytes:
    return b",\n" if before else b"\n"


def _json(content: object) -> bytes:
    return json.dumps(content).encode("ascii")
