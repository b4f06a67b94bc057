"""A dataset.toml, and files beside it, that nobody would write: each has one line that names the file."""

import os
from pathlib import Path

import pytest

from hyperseg.data import DataError, Layout, find_own, open_split
from training.folders import describe, own
from training.within import within


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        (f"void = {'9' * 6000}", "is not TOML"),
        (f'images = "{"x" * 5000}"', r"line 2: images is 'x+, which cannot be looked for: File name too long"),
        ('labels = "~no-such-user/x"', "line 2: labels is .* which cannot be looked for: Could not determine home"),
        (r'images = "a\u0000b"', r"line 2: images is 'a\\x00b', which has a line break"),
        (f'[splits]\ntrain = "{"x" * 5000}"', r"line 3: train is 'x+, which cannot be looked for"),
        ('[splits]\n"a\\nb" = "train"', r"a split cannot be named 'a\\nb'"),
        ('[splits]\n"" = "train"', "a split cannot be named ''; use letters"),
        (r'classes = ["a", "\u200b"]', "the class name .* is empty, or cannot be seen"),
        (r'classes = ["\u00e9", "e\u0301"]', "look the same; leave out one or rename it"),
        ('classes = ["a", "a "]', "the class names 'a' and 'a ' look the same"),
        ('classes = ["a  b", "a b"]', "look the same"),
    ],
)
def test_values_that_nothing_can_be_done_with_are_errors_of_the_file(tmp_path: Path, toml: str, message: str) -> None:
    with pytest.raises(DataError, match=rf"dataset\.toml.*{message}"):
        find_own(describe(tmp_path, toml))


@pytest.mark.parametrize("sources", ['["train", "train"]', '[".", "train"]', '["train", "a.txt"]'])
def test_sources_that_share_images_are_an_error(tmp_path: Path, sources: str) -> None:
    (own(tmp_path, f"[splits]\ntrain = {sources}") / "a.txt").write_text("train/0\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"sources of the split train, share [12] images?, which would train or score"):
        open_split(Layout.OWN, tmp_path, "train")


@pytest.mark.parametrize("kind", ["folder", "fifo", "link"])
def test_a_description_that_is_no_file_is_named(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "dataset.toml"
    {"folder": file.mkdir, "fifo": lambda: os.mkfifo(file), "link": lambda: file.symlink_to("nothing")}[kind]()
    with pytest.raises(DataError, match=r"dataset\.toml is no file"):
        find_own(tmp_path)


def test_links_among_folders_end(tmp_path: Path) -> None:
    """Ten folders with links to each other: ways from one to another are more than a million."""
    own(tmp_path)
    for one in range(10):
        (tmp_path / "images" / f"d{one}").mkdir()
        for other in range(10):
            (tmp_path / "images" / f"d{one}" / f"to{other}").symlink_to(f"../d{other}")
    with within(60), pytest.raises(DataError, match=r"in more than \d+ ways; remove links"):
        open_split(Layout.OWN, tmp_path, "train")
