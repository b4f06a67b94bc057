"""What a run of the tests leaves out unless it is asked for: cases that only repeat others at full length."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--exhaustive", action="store_true", help="also every preset and architecture at full size")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--exhaustive"):
        return
    left_out = pytest.mark.skip(reason="one of its kind runs by default; all of them with --exhaustive")
    for item in items:
        if item.get_closest_marker("exhaustive"):
            item.add_marker(left_out)
