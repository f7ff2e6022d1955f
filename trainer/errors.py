"""The trainer's errors, for the person who ran it."""


class TrainerError(ValueError):
    """The data, the recipe or the request is wrong; the message says what to change."""


class DataError(TrainerError):
    """Bad data; the message names the file, the column, the number of bad rows and the first of them."""


class RecipeError(TrainerError):
    """A bad recipe; the message names the file, the section, the key and the accepted values."""


class OutputError(Exception):
    """A file cannot be written, such as on a full disk; the message names the path and the reason."""


class NotPublishedError(Exception):
    """A bundle was written, and is worse than the one that is served; the message gives the figures and the options."""
