"""Methods that draw keys at random and weight what was drawn."""
