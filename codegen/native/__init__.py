"""Compiled C for the CPU: the texts that kernels start with, the system's compiler, calls into the result.

Nothing here knows a cell, a plan or torch.
"""
