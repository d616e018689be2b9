// Draws what pymdownx.arithmatex marks as mathematics, with the KaTeX beside this file: no network is needed.
document.querySelectorAll(".arithmatex").forEach((element) => {
  const source = element.textContent.trim();
  const display = source.startsWith("\\[");
  katex.render(source.slice(2, -2), element, { displayMode: display, throwOnError: false });
});
