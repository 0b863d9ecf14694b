"""Errors that a caller may want to tell from all others."""


class DamagedFileError(ValueError):
    """A file of a data set that cannot be decoded: cut off, overwritten, empty. What is wrong with how a data set is
    described (label ids outside the table, other sizes) is a plain ValueError, around which training must not go on."""

    def __str__(self) -> str:
        return printable(super().__str__())


def printable(text: str) -> str:
    """A text with the names of files that are not UTF-8 in a form that terminals and logs take."""
    return text.encode(errors='backslashreplace').decode()
