-- All reads of one event at one instant. ARGV: the requests.
return read_all(1, #ARGV / 4)
