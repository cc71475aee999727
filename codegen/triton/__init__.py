"""Loops as Triton kernels: text that imports torch and triton; nothing here imports either."""
