"""Records every comparison of the exporter, for the table of the worst errors (--worst)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import worst


@pytest.fixture(autouse=True, scope="session")
def _noted() -> Iterator[None]:
    pytest.importorskip("torch")
    from hyperseg_export.rounding import Bound
    from hyperseg_export.verification import Agreement
    from torch import Tensor

    compare = Agreement.compare

    def noting(self: Agreement, part: str, found: Tensor, expected: Tensor, disturbed: Tensor) -> Bound:
        bound = compare(self, part, found, expected, disturbed)
        worst.note(f"exported file: {part.partition(' F')[0]}", float((found - expected).abs().max()), bound.largest)
        return bound

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Agreement, "compare", noting)
        yield
