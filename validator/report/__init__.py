"""A report as text. In comes a `Report`, out go terminal, Markdown, HTML, JSON and JUnit.

`content` selects facts and their order, `words` has every sentence, `outline` lays both out as blocks
(`document`, `phrases`), and a module for each form renders them: `terminal.show`, `markdown.comment` and
`markdown.summary`, `html.page`, `json.dump` and `json.load`, `junit.dump`.
"""
