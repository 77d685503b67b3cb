"""What is found out by trying many plans: which method, which part, which data."""
