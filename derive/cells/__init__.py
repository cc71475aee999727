"""Published cells, one file each: the equations, the reference, and the way there.

Adding a cell is adding a file with a ``PUBLISHED``; nothing else needs an edit.
"""
