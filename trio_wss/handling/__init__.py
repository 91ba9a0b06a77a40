"""From an event to effects: what a handler wants, and how it is run. Pure."""
