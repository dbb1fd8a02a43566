"""Launch requests that wait for a GO."""

__version__ = "0.1.0"
