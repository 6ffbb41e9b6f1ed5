"""The conformance kit for stores."""
