"""Where the return came from."""
