"""From feature rows to a training set. Everything here reads published tables and makes none of them."""


class TrainingError(Exception):
    """A training set cannot be made as asked; the message says why and what to do."""
