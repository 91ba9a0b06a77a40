"""Tests: a file for each module, real parts, no sleep as a synchronisation."""
