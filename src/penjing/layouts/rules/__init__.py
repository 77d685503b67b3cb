"""One file per kind of operator: how its outputs' dimensions are made of its inputs'."""
