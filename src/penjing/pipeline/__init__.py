"""The path of the data: from what a user names to a folder, a report, and everything between."""
