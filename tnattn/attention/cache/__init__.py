"""Caches: methods that keep few weighted keys, chosen without the queries."""
