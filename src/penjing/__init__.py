"""Make neural networks small, and show what that cost."""

__version__ = "0.1.0"
