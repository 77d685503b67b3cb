"""Methods that choose which single weights stay; shapes do not change."""
