"""The HTML report as values, before Jinja and the script draw it.

In comes `Content`, out go an overview (`overview`: matrix, reasons) and a page for each cell (`cell`), both
made of the blocks that every form has and of `Picture`s: data for the script, and a sentence in its place.
"""
