"""The browser's side: its client, the operators' page, and an app's own files."""
