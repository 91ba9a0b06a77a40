"""One connection to Redis, kept over many reconnects."""
