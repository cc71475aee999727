"""Studies: grids of trainings that lose nothing, their statistics and their report."""
