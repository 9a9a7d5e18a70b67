"""Whether the store, and nginx's answers, are equal to what they should be."""
