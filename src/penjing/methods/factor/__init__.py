"""Methods that write matrices as products of smaller ones."""
