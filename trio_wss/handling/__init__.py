"""From an event to effects: a handler's parameters, and its run. Pure."""
