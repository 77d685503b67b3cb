"""What a model is made of, what it costs to run, and where the time goes."""
