"""What files cost, and how far they agree with Keras."""
