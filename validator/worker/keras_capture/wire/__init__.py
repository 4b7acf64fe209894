"""What crosses the border of the process, and the process itself: its children, its end."""
