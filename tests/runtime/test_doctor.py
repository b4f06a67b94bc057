"""hyperseg-doctor: the verdict on every backend, package and library."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from hyperseg_runtime import diagnosis, extras, libraries, machine, trusted_keys
from hyperseg_runtime.backends import cuda, tensorrt, tensorrt_flavour
from hyperseg_runtime.backends import onnxruntime as ort_backend
from hyperseg_runtime.backends.cuda import Driver
from hyperseg_runtime.backends.protocol import BackendName
from hyperseg_runtime.backends.tensorrt_flavour import Flavour, TensorRT
from hyperseg_runtime.capabilities import Task, tasks
from hyperseg_runtime.cli import common
from hyperseg_runtime.cli.doctor import doctor
from hyperseg_runtime.diagnosis import Finding, Verdict, examine
from hyperseg_runtime.errors import BackendUnavailableError, LibraryMissingError
from hyperseg_runtime.libraries import ENVIRONMENT_VARIABLE, Library, load_error, require
from hyperseg_runtime.names import shown
from hyperseg_runtime.segmenter import Segmenter
from hyperseg_runtime.trusted_keys import Key

from .conftest import Finished
from .stand_in import write_model


def run_doctor(*arguments: str) -> Finished:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as ended:
        common.execute(doctor, "hyperseg-doctor", arguments)
    assert isinstance(ended.value.code, int)
    return Finished(ended.value.code, out.getvalue(), err.getvalue())


def test_every_backend_is_judged() -> None:
    done = run_doctor("--json")
    assert done.code == 0, done
    found = json.loads(done.out)
    assert [one["subject"] for one in found["backends"]] == [name.value for name in BackendName]
    assert all(
        one["detail"] and "\n" not in one["detail"] for chapter in ("backends", "packages") for one in found[chapter]
    )
    told = run_doctor().out
    for words in ("Machine", "Packages", "Our libraries", "Backends", "onnxruntime-cuda", "Default model", "Tasks"):
        assert words in told
    assert told.startswith(f"hyperseg {found['version']}\n")


def task(name: str) -> Task:
    (found,) = (one for one in tasks() if one.name == name)
    return found


def test_every_task_is_answered_with_all_that_is_missing() -> None:
    for one in tasks():
        assert one.can is (one.missing == ()) is (one.means != "")
        assert all(line and "\n" not in line for line in (*one.missing, one.name))
    assert task("run ONNX files on the CPU").can
    found = json.loads(run_doctor("--json").out)["tasks"]
    assert [one["task"] for one in found] == [one.name for one in tasks()]


def test_a_machine_without_any_of_tensorrt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cuda, "find_gpus", lambda: Driver((), "no NVIDIA driver; install one"))
    monkeypatch.setattr(tensorrt_flavour, "module_name", lambda _: None)
    monkeypatch.setattr(tensorrt, "is_installed", lambda _: False)
    monkeypatch.setattr("hyperseg_runtime.libraries.search_path", lambda: (tmp_path,))
    packages = ["pycuda is not installed", "cryptography is not installed"]
    expected = ["no NVIDIA driver", "TensorRT is ", *packages, "libhyperseg_trt.so was not built"]
    for missing in (tensorrt.availability(BackendName.TENSORRT).missing, task("run engines of TensorRT").missing):
        assert len(missing) == len(expected)
        assert all(any(part in line for line in missing) for part in expected), missing
    assert "tensorrt-rtx" in " ".join(task("build engines ahead of time").missing)
    assert not any("NVIDIA driver" in line for line in task("build engines ahead of time").missing)


def test_tensorrt_for_rtx_builds_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    if libraries.find(Library.TENSORRT) is None or extras.missing_of("engine"):
        pytest.skip("libhyperseg_trt.so or a graph tool is missing")
    monkeypatch.setattr(cuda, "find_gpus", lambda: Driver((), "no NVIDIA driver; install one"))
    package = TensorRT(Flavour.RTX, SimpleNamespace(__version__="1.7.1"))

    def load(flavour: Flavour) -> TensorRT:
        if flavour is Flavour.RTX:
            return package
        raise LibraryMissingError("TensorRT is not installed")

    monkeypatch.setattr(tensorrt_flavour, "load", load)
    assert "TensorRT for RTX 1.7.1" in task("build engines ahead of time").means
    assert task("build engines on this machine's GPU").missing == ("no NVIDIA driver; install one",)


@pytest.mark.parametrize(
    ("name", "extra"),
    [("export checkpoints", "export"), ("train networks", "train"), ("evaluate checkpoints", "export")],
)
def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, name: str, extra: str) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    (line,) = task(name).missing
    assert line.startswith("torch") and line.endswith(f'pip install "hyperseg[{extra}]"')


def test_a_package_that_does_not_load_is_not_called_missing() -> None:
    assert "hyperseg-doctor says what is missing" in extras.explain(ModuleNotFoundError("No module named 'rich'"))
    assert "does not load, so reinstall it" in extras.explain(ImportError("libtorch.so: undefined symbol"))


def test_the_extras_are_those_of_the_distribution() -> None:
    root = Path(__file__).parents[2] / "pyproject.toml"
    text = root.read_text(encoding="utf-8")
    for extra, modules in extras.EXTRAS.items():
        assert f"\n{extra} = [" in text
        assert all(f'"{module.replace("_", "-")}' in text for module in modules), modules


def test_operators_that_do_not_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The library reads the variable once in a process.
    with monkeypatch.context() as patched:
        patched.setattr(libraries, "isa_error", lambda: "HYPERSEG_MAX_CPU_ISA is best; expected sse4, avx2 or avx512")
        assert task("run ONNX files on the CPU").missing == (libraries.isa_error(),)
    (tmp_path / Library.ONNXRUNTIME.value).write_bytes(b"no library")
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(tmp_path))
    assert task("run ONNX files on the CPU").means.startswith("portable models only")


def test_packages_that_every_task_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    for one in tasks(["av: pip install av"]):
        assert one.missing[0] == "av: pip install av"


def test_the_default_model(tmp_path: Path) -> None:
    assert examine(tmp_path).model.verdict is Verdict.OK
    (tmp_path / "m.engine").write_bytes(b"plan")
    broken = examine(tmp_path).model
    assert (broken.verdict, "m.engine" in broken.detail) == (Verdict.BROKEN, True)
    (tmp_path / "m.engine").unlink()
    for name in ("a.onnx", "b.onnx"):
        write_model(tmp_path / name)
    assert examine(tmp_path).model.verdict is Verdict.AMBIGUOUS


def test_a_stack_that_fails_on_looking_for_the_model_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("of a\nlibrary")

    monkeypatch.setattr(diagnosis, "find_model", fail)
    assert examine().model == Finding("model", Verdict.BROKEN, "RuntimeError: of a library")


def test_instruction_sets_have_their_usual_names() -> None:
    assert libraries.isa_label("AVX3_SPR") == "AVX-512 of Sapphire Rapids and later"
    assert libraries.isa_label("NEON_BF16") == "NEON_BF16"
    assert "AVX3" not in next(one.detail for one in examine().libraries if one.subject == Library.ONNXRUNTIME.value)


def test_a_library_that_does_not_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / Library.TENSORRT.value).write_bytes(b"no library")
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(tmp_path))
    assert require(Library.TENSORRT) == tmp_path / Library.TENSORRT.value
    assert load_error(Library.TENSORRT) is not None
    finding = next(one for one in examine().libraries if one.subject == Library.TENSORRT.value)
    assert finding.verdict is Verdict.BROKEN
    assert str(tmp_path) in finding.detail


@pytest.mark.parametrize(
    ("table", "label"),
    [
        ('{"TensorRT headers": {"found": "yes", "detail": "/opt/tensorrt"}}', " (TensorRT headers: /opt/tensorrt)"),
        ('{"TensorRT headers": 1}', ""),
        ("no JSON", ""),
        (None, ""),
    ],
)
def test_the_headers_that_the_plugins_were_compiled_with(
    table: str | None, label: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CMake's table is beside the library."""
    path = tmp_path / Library.TENSORRT.value
    path.write_bytes(b"")
    if table is not None:
        (tmp_path / "native.json").write_text(table, encoding="utf-8")
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(tmp_path))
    monkeypatch.setattr(libraries, "load_error", {}.get)
    finding = next(one for one in examine().libraries if one.subject == Library.TENSORRT.value)
    assert (finding.verdict, finding.detail) == (Verdict.OK, f"{path}{label}")


def test_a_library_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hyperseg_runtime.libraries.search_path", lambda: (tmp_path,))
    with pytest.raises(LibraryMissingError, match=ENVIRONMENT_VARIABLE):
        require(Library.ONNXRUNTIME)
    assert "portable models only" in ort_backend.availability(BackendName.ONNXRUNTIME).detail


def test_the_library_for_labels_at_a_frames_size(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def finding() -> Finding:
        return next(one for one in examine().libraries if one.subject == Library.CPU.value)

    if libraries.find(Library.CPU) is not None:
        assert finding().verdict is Verdict.OK and "(labels at a frame's size: " in finding().detail
    monkeypatch.setattr("hyperseg_runtime.libraries.search_path", lambda: (tmp_path,))
    assert finding().verdict is Verdict.MISSING
    assert finding().detail.endswith("; until then NumPy computes labels at a frame's size, slowly")
    (tmp_path / Library.CPU.value).write_bytes(b"no library")
    assert finding().verdict is Verdict.BROKEN


def test_wheels_that_overwrite_each_other(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {"onnxruntime": "1.32.0", "onnxruntime-gpu": "1.31.0"}
    monkeypatch.setattr(machine, "version", installed.get)
    with pytest.raises(BackendUnavailableError, match="both installed"):
        Segmenter(model)
    finding = next(one for one in examine().packages if one.subject == "onnxruntime")
    assert finding.verdict is Verdict.BROKEN


def test_a_broken_opencv_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    working = importlib.import_module

    def fail(name: str) -> ModuleType:
        if name == "cv2":
            raise ImportError("libGL.so.1: cannot open shared object file")
        return working(name)

    monkeypatch.setattr(diagnosis.importlib, "import_module", fail)
    finding = next(one for one in examine().packages if one.subject == "cv2")
    assert finding.verdict is Verdict.BROKEN
    assert "opencv-python-headless" in finding.detail


@pytest.mark.parametrize("package", ["cv2", "onnxruntime", "rich"])
def test_a_package_that_every_command_needs_and_does_not_load(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    found = examine()
    assert not found.can_run
    assert next(one for one in found.packages if one.subject == package).verdict is Verdict.BROKEN


def test_nothing_can_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "version", lambda _: None)
    done = run_doctor()
    done.failed_with("no model can run")
    assert "pip install onnxruntime" in done.out


def test_the_keys_of_engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package cryptography: a device without TensorRT does not have it."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "cryptography"] or ["cryptography"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setenv(trusted_keys.HOME_VARIABLE, str(tmp_path))
    assert "this machine's key     none yet; the first hyperseg-build-engine makes it" in run_doctor().out
    assert list(tmp_path.iterdir()) == []  # it makes none
    own, other = Key(bytes(32), "me@here"), Key(bytes(range(32)), "builder@factory")
    assert trusted_keys.add(other)
    trusted_keys.public_path().write_text(f"{own.line}\n", encoding="utf-8")
    trusted_keys.public_path().chmod(0o644)
    told = run_doctor().out
    for words in (own.line, own.fingerprint, str(trusted_keys.public_path()), f"{other.fingerprint} builder@factory"):
        assert words in told
    assert f"to remove it, delete its line in {trusted_keys.list_path()}" in told
    keys = json.loads(run_doctor("--json").out)["keys"]
    assert keys["own"]["line"] == own.line and keys["own"]["file"] == str(trusted_keys.public_path())
    assert [one["comment"] for one in keys["trusted"]] == ["builder@factory"] and keys["problems"] == []
    trusted_keys.list_path().chmod(0o666)
    assert "chmod 600" in json.loads(run_doctor("--json").out)["keys"]["problems"][0]
    assert "broken    problem" in run_doctor().out
    assert run_doctor().code == 0


@pytest.mark.parametrize("home", ["a\nb", "\x1b[2J", "\udcff"])
def test_keys_and_engines_of_strange_names(home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever can write to the working folder names files in it; a terminal obeys what is in a name."""
    (tmp_path / home / "hyperseg").mkdir(parents=True, mode=0o700)
    (tmp_path / f"{home}.engine").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(trusted_keys.HOME_VARIABLE, str(tmp_path / home))
    for file in (trusted_keys.public_path(), trusted_keys.list_path()):
        file.write_text(f"{Key(bytes(32)).line}\n", encoding="utf-8")
        file.chmod(0o600)
    told = run_doctor().out
    for name in (f"{home}/hyperseg/signing_key.pub", f"{home}/hyperseg/trusted_keys", f"{home}.engine"):
        assert shown(name) in told and name not in told
    assert "\\udc" not in run_doctor("--json").out  # lone surrogates, which many parsers refuse


@pytest.mark.parametrize("variable", ["HOME", ENVIRONMENT_VARIABLE, "XDG_CONFIG_HOME"])
@pytest.mark.parametrize("value", ["", ".", "/", f"/{'a' * 300}", "/dev/null", "a\nb", "\udcff"])
def test_variables_that_name_no_folder(variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv(variable, value)
    examine()
    assert json.loads(run_doctor("--json").out)["keys"].keys() == {"own", "trusted", "trusted_file", "problems"}


def test_a_library_folder_that_is_no_absolute_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, ".")
    found = examine().libraries
    assert all(one.verdict is Verdict.BROKEN and "is ., not an absolute path" in one.detail for one in found)
