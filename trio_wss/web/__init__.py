"""The browser's side: its client, the page for those who run nodes, and an app's own files."""
