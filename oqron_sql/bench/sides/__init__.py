"""Who can be measured; each module is imported by the process that measures it, and by no other."""
