"""The stages of the check; each module has `run(context, reporter)`."""
