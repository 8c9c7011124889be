"""The real server under bad input, attacks and faults."""
