"""A little encoder-decoder: written-out dates to ISO 8601."""
