"""How another library's error is told within a sentence of ours."""


def first_line(error: BaseException) -> str:
    """What an error says first, without a full stop; its type, where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
