"""All that is to be known of a card, measured by one command: `make gpu`, or `python -m tools.gpu --out FOLDER`."""
