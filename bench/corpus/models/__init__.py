"""The models of the corpus. They run inside the environments under test, as a user's own code would."""
