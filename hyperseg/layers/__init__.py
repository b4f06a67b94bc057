"""Building blocks shared by the parts of the network."""
