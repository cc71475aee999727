"""What the kinds of claims share: cells as plain data, settings put in, affine pieces, runs."""
