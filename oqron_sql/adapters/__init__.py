"""The adapters, and what makes them."""
