"""The model itself: opened once and lent to whoever runs it, tries edits on it, or goes through it block by block."""
