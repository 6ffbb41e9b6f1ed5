"""Protocols of the store, each as a machine small enough to try every order of its steps."""
