"""Signals that end a command: all commands treat SIGTERM and SIGHUP as Ctrl-C, and leave an ignored SIGHUP ignored."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator

import click
import pytest
from hyperseg_runtime.cli.common import execute, interrupt_on_signals
from hyperseg_runtime.interrupt import GracefulInterrupt
from hyperseg_street.cli import _interrupt_on_signals as street

from hyperseg.cli.train import _interrupt_on_signals as train

SIGNALS = (signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (*SIGNALS, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("prepare", [interrupt_on_signals, street, train], ids=["runtime", "street", "train"])
def test_commands_clean_up(prepare: Callable[[], None]) -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    prepare()
    for number in SIGNALS:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)


@pytest.mark.parametrize("prepare", [interrupt_on_signals, street, train], ids=["runtime", "street", "train"])
def test_under_nohup_a_hang_up_is_ignored(prepare: Callable[[], None]) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    prepare()
    signal.raise_signal(signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_ctrl_c_while_a_module_is_imported_is_no_missing_module(capsys: pytest.CaptureFixture[str]) -> None:
    @click.command()
    def command() -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as error:
            raise ImportError("initialization failed") from error  # as pybind11 does

    with pytest.raises(SystemExit) as ended:
        execute(command, "hyperseg-run", [])
    assert ended.value.code == 130
    assert capsys.readouterr().err == "hyperseg-run: error: interrupted\n"


@pytest.mark.parametrize("number", [*SIGNALS, signal.SIGINT])
def test_the_first_signal_asks_a_run_to_end_and_the_second_ends_it(number: signal.Signals) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    before = signal.getsignal(number)
    with GracefulInterrupt() as interrupt:
        assert not interrupt.requested
        signal.raise_signal(number)
        assert interrupt.requested
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    assert signal.getsignal(number) is before
