"""How often methods err when nothing is there, and find what is: `make simulate`."""
