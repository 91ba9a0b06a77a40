"""The stack on a real Swarm: deployed, scaled, updated and harmed while clients work on it."""
