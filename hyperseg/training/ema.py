"""Exponential moving average (EMA) of a network's weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class EMA:
    """Exponential moving average of weights and buffers, d · average + (1 - d) · weights.

    The decay d rises to `decay` over the first updates.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.values: dict[str, Tensor] = {name: value.detach().clone() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Update the average with the current weights and buffers."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        pairs = [(self.values[name], value) for name, value in model.state_dict().items()]
        floats = [(kept, now) for kept, now in pairs if kept.is_floating_point()]
        torch._foreach_lerp_([kept for kept, _ in floats], [now for _, now in floats], 1 - decay)
        for kept, now in pairs:
            if not kept.is_floating_point():
                kept.copy_(now)

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """Give the model the averaged weights within a block."""
        own = {name: value.detach().clone() for name, value in model.state_dict().items()}
        model.load_state_dict(self.values)
        try:
            yield
        finally:
            model.load_state_dict(own)

    def state(self) -> dict[str, object]:
        """State for `restore`."""
        return {"updates": self.updates, "values": self.values}

    def restore(self, state: dict[str, object]) -> None:
        """Continue from a `state`."""
        values, updates = state["values"], state["updates"]
        assert isinstance(values, dict) and isinstance(updates, int)
        # A state is read into the CPU's memory, whatever device the network is on.
        self.values = {name: values[name].to(own.device) for name, own in self.values.items()}
        self.updates = updates
