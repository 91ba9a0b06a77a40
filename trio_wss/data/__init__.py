"""From bytes to types and back. Pure."""
