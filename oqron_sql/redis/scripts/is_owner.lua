-- ARGV[3]: owner. Returns whether the owner has it now.
return held_by() == OWNER and 1 or 0
