"""Unit to arm, by hashing."""
