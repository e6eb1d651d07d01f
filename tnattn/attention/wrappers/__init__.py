"""Methods made of other methods through the merge algebra."""
