"""How a node is, for those who run it: off the line, fed by a snapshot."""
