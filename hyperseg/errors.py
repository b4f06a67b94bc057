"""Errors that users of the networks meet."""


class CheckpointError(ValueError):
    """A checkpoint cannot be loaded; the message is one sentence that names the file's entry and the remedy."""
