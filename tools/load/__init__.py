"""Measurements on real servers, run by hand: `python -m tools.load.pools`, `python -m tools.load.capacity`."""
