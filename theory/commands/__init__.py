"""The commands of the terminal, one file each; ``app`` assembles them."""
