"""Measurements on real servers, run by hand: `python -m tests.load.pools`, `python -m tests.load.capacity`."""
