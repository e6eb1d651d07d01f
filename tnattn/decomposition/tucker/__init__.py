"""Tucker."""
