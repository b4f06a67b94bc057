"""The commands hyperseg-train and hyperseg-street."""
