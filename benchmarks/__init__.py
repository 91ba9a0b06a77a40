"""The comparison with other servers: `make bench`, or `make bench SHAPES=events PEERS=ours,ws`."""
