"""Where the files that come with the project lie: in its checkout, or in the package that was installed."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
SOURCES = PACKAGE.parent
INSTALLED = PACKAGE / "shipped"  # where a wheel has them, see pyproject.toml
SHIPPED = INSTALLED if INSTALLED.is_dir() else SOURCES.parent
