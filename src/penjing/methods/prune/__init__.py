"""Methods that choose which units of an axis stay."""
