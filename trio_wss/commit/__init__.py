"""From effects to one commit. Pure."""
