"""From methods, budgets and data to plans."""
