"""The page docs/api.md: signatures and docstrings of the packages' public names, as Markdown."""
