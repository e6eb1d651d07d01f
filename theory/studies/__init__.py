"""Studies: grids of independent trials, one file per question."""
