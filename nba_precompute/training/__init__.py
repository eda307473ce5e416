"""From feature rows to a training set and a model. Everything here reads published tables and makes none of them."""

IN_USE = "points_model.json"
"""In a folder of models the report of the one that was trained last, by which it is found."""


class TrainingError(Exception):
    """A training set cannot be made as asked; the message says why and what to do."""
