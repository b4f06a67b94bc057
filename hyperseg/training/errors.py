"""Exception of the training loop."""


class TrainingError(RuntimeError):
    """Training cannot start or continue; the message gives the reason and the remedy."""
