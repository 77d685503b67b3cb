"""Showing that cutting an axis equals masking it."""
