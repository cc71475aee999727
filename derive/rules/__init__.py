"""The rules, one file a family; each lists its rules in ``RULES`` and is found by looking into the folder.

A rewrite's docstring is its condition, then before ⟶ after.
"""
