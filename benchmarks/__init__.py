"""Benchmarks: what penjing costs, beside copying files and beside other tools."""
