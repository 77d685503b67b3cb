"""From axes to config entries and back: which entry holds which axis, and the config that holds other sizes."""
