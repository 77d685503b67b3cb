"""Methods that write the residual stream in another basis."""
