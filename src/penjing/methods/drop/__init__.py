"""Methods that drop whole blocks, or the attention or the MLP of some."""
