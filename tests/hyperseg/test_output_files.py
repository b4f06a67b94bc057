"""Atomic output files: complete on success, unchanged on failure."""

from pathlib import Path

import pytest
import torch

import hyperseg
from hyperseg.output_files import atomic_output


def test_the_target_appears_complete(tmp_path: Path) -> None:
    target = tmp_path / "report.json"
    with atomic_output(target) as draft:
        draft.write_text("complete")
        assert not target.exists() and draft.parent == tmp_path
        assert draft.name.startswith(".hyperseg-") and draft.name.endswith(".part.json")
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"] and target.read_text() == "complete"


def test_a_failure_keeps_the_previous_file_and_leaves_no_draft(tmp_path: Path) -> None:
    target = tmp_path / "report.json"
    target.write_text("previous")

    def write() -> None:
        with atomic_output(target) as draft:
            draft.write_text("half")
            raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError, match="interrupted"):
        write()
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"] and target.read_text() == "previous"


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_models_are_saved_under_the_longest_names(tmp_path: Path, suffix: str) -> None:
    target = tmp_path / ("m" * (255 - len(suffix)) + suffix)
    config = hyperseg.preset("camvid-lite").replace(backbone="efficientnet-lite0")
    model = hyperseg.create(config)
    hyperseg.save(model, target)
    assert [path.name for path in tmp_path.iterdir()] == [target.name]
    assert torch.equal(hyperseg.load(target).backbone.stem.conv.weight, model.backbone.stem.conv.weight)


def test_a_link_stays_and_leads_to_the_new_file(tmp_path: Path) -> None:
    link = tmp_path / "last.pt"
    link.symlink_to(tmp_path / "real.pt")
    with atomic_output(link) as draft:
        draft.write_text("complete")
    assert link.is_symlink() and (tmp_path / "real.pt").read_text() == "complete"


def test_a_name_that_is_all_suffix(tmp_path: Path) -> None:
    target = tmp_path / f"m.{'s' * 253}"
    with atomic_output(target) as draft:
        draft.write_text("complete")
    assert target.read_text() == "complete"
