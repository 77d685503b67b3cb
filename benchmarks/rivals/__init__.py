"""The same jobs with penjing and with other tools, each tool in an environment of its own."""
