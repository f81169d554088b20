"""The files of the pages that people see; nothing is built and nothing loaded from elsewhere."""

import importlib.resources


def read_page(name: str) -> str:
    """The text of one of them."""
    return (importlib.resources.files(__name__) / name).read_text(encoding="utf-8")
