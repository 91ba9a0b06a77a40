"""A node's condition, for its operators: off the line of an event, fed by a snapshot."""
