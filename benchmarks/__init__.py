"""How fast the stores are beside the fastest queue of their kind, or beside the bare driver."""
