"""Pictures on disk."""

from collections.abc import Iterator
from pathlib import Path

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}


def pictures_under(paths: list[Path]) -> Iterator[tuple[Path, Path]]:
    """(picture, its path below the argument it came from), folders searched to the bottom.

    Raises FileNotFoundError for a path that is not there.
    """
    for path in paths:
        if path.is_dir():
            for found in sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES):
                yield found, found.relative_to(path)
        elif path.exists():
            yield path, Path(path.name)
        else:
            raise FileNotFoundError(f"{path} is neither a picture nor a folder")
