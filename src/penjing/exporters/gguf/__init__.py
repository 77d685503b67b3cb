"""What a GGUF file holds of a model: names, sizes and tensors by architecture, the tokenizer, the types of numbers."""
