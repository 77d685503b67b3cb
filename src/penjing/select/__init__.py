"""Choosing: which axes, how many units of each, and which weights belong to a unit."""
