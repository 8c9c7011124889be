"""What can go wrong on the serving side, told to the person in one line."""


class ServingError(Exception):
    """A failure with one obvious message: what is wrong and what to do about it."""
