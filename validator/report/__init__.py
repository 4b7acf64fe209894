"""A report as text: terminal, Markdown, HTML, JSON, JUnit. Data in, text out."""
