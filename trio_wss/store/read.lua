-- All reads of one event at one instant. ARGV: the requests; KEYS: what they read.
return read_all(1, 1, #KEYS)
