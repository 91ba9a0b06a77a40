"""The topics of one node: their members, and the broadcasts that these were given."""
