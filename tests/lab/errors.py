"""The one exception a user of the lab sees, always as one line."""


class LabError(Exception):
    """Something the user can understand and act on."""
