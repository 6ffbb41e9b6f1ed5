"""The tables, once."""
