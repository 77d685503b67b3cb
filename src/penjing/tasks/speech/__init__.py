"""What a model hears: the words that are said, or the class of a sound."""
