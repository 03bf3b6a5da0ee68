"""Pure mathematics that several apps share."""
