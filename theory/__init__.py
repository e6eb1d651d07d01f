"""Error theory of attention approximations: what a theorem predicts, what occurs, and the verdict."""
