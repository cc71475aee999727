"""Benchmarks of cells: interleaved rounds in one process, against torch's layers, loops and the floor.

A benchmark reports; it never passes or fails a time.  What it refuses is to time a wrong result.
"""
