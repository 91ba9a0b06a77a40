"""The topics of one node: who is in them, and what they were given."""
