"""Graph passes: one rewrite and its inverse per module; `targets` lists the passes of each target."""
