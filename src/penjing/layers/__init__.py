"""Layers that several architectures are made of: plain torch, each with its formula, each in a file of its kind."""
